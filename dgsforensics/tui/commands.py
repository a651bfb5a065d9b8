"""The command palette: what the keys do, found by words."""

from textual.command import DiscoveryHit, Hit, Hits, Provider

from dgsforensics.tui.keys import SECTIONS, Key, spelled


class KeyCommands(Provider):
    """Offers every key of the review, by what it does."""

    async def discover(self) -> Hits:
        """Yield all, before anything is typed."""
        for title, key in _commands():
            yield DiscoveryHit(title, lambda key=key: self._run(key))

    async def search(self, query: str) -> Hits:
        """Yield what matches."""
        matcher = self.matcher(query)
        for title, key in _commands():
            if (score := matcher.match(title)) > 0:
                shown = matcher.highlight(title)
                yield Hit(score, shown, lambda key=key: self._run(key))

    async def _run(self, key: Key) -> None:
        await self.app.run_action(key.action, self.screen)


def _commands() -> list[tuple[str, Key]]:
    return [
        (f"{section.partition(' (')[0]}: {key.help or key.says} ({spelled(key.keys)})", key)
        for section, keys in SECTIONS.items()
        for key in keys
        if key.name not in ("palette", "interrupt")
    ]
