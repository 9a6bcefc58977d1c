"""A field for a key that nobody else is to see.

In: what a user pastes. Out: the key, in this process's memory alone. What a widget shows is kept by notebooks that save
the state of their widgets, so the field is emptied as soon as the key is taken.
"""

import ipywidgets as widgets

from utils.dashboard.region import labelled


class KeyField:
    """A password field that forgets what it showed and remembers what it was given, as long as the page is open."""

    def __init__(self, description: str, placeholder: str) -> None:
        self._key = ""
        self.widget = labelled(widgets.Password(description=description, placeholder=placeholder))

    def take(self) -> str:
        """The key that was given last, "" for none; the field is empty then."""
        if typed := self.widget.value.strip():
            self._key = typed
            self.widget.value = ""
            self.widget.placeholder = "kept until this page is closed; paste another one to replace it"
        return self._key
