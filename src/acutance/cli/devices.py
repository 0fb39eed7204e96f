"""``acutance devices``."""

import json
import os
from dataclasses import asdict, dataclass

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Cameras, with the sizes they offer, and microphones."""

    json: bool = False
    """As JSON."""


def run(options: Options) -> int:
    from acutance.io.devices import list_devices

    devices = list_devices(modes=True)
    if options.json:
        print(json.dumps([asdict(device) for device in devices], indent=2))
        return 0
    for kind, missing in (("camera", "no camera is plugged in, or none that this user may see"), ("microphone", "")):
        found = [device for device in devices if device.kind == kind]
        print(f"{kind}s: {len(found) or missing or 'none'}")
        for number, device in enumerate(found):
            use = f"camera:{number}" if kind == "camera" else f"--microphone {device.address}"
            print(f"  {use:<24} {device.address}  {device.name}")
            if device.modes:
                print(f"  {'':<24} {', '.join(device.modes)}")
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    print(f"screen: {display or 'none'}" if os.name == "posix" else "screen: screen")
    return 0
