"""What is handed on: a case as a page, a table or a document, and all about one file."""
