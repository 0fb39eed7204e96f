"""Assemble what is published: ``python web/pack.py npm|extension OUT``.

``npm`` makes a folder that ``npm pack`` and ``npm publish`` take. ``extension`` makes a folder and an archive for
Chromium and for Firefox.
"""

import argparse
import json
import shutil
import sys
import zipfile
from pathlib import Path

from acutance import __version__
from acutance.web.files import module_files

WEB = Path(__file__).resolve().parent
_TIME = (1980, 1, 1, 0, 0, 0)  # the same archive from the same files


def npm(out: Path) -> Path:
    """Write the npm package's folder."""
    package = json.loads((WEB / "npm" / "package.json").read_text("utf-8")) | {"version": __version__}
    files = module_files() | {
        "package.json": json.dumps(package, indent=2).encode() + b"\n",
        "README.md": (WEB / "npm" / "README.md").read_bytes(),
        "LICENSE": (WEB.parent / "LICENSE").read_bytes(),
    }
    return _write(out, files)


def extension(out: Path) -> list[Path]:
    """Write the extension's folders and archives, one for each browser."""
    own = {path.name: path.read_bytes() for path in sorted((WEB / "extension").iterdir()) if path.is_file()}
    shared = own | {f"acutance/{path}": data for path, data in module_files().items()}
    shared["LICENSE"] = (WEB.parent / "LICENSE").read_bytes()
    chromium = json.loads(own["manifest.json"]) | {"version": __version__}
    firefox = {key: value for key, value in chromium.items() if key != "minimum_chrome_version"} | {
        "background": {"scripts": ["background.js"], "type": "module"},
        "browser_specific_settings": {"gecko": {"id": "acutance@acutance.invalid", "strict_min_version": "130.0"}},
    }
    archives = []
    for browser, manifest in (("chromium", chromium), ("firefox", firefox)):
        files = shared | {"manifest.json": json.dumps(manifest, indent=2).encode() + b"\n"}
        _write(out / browser, files)
        archives.append(out / f"acutance-{browser}-{__version__}.zip")
        with zipfile.ZipFile(archives[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in sorted(files.items()):
                archive.writestr(zipfile.ZipInfo(path, _TIME), data, zipfile.ZIP_DEFLATED)
    return archives


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def main() -> int:
    """Assemble what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["npm", "extension"])
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.what == "npm":
        print(npm(options.out / "npm"))
    else:
        print(*extension(options.out), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
