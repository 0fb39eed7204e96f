"""The engine in the browser: the page that ``acutance web`` serves, and its files for other servers."""
