"""The screen of `dgsf review`: Textual widgets, and what they need that is not a widget."""
