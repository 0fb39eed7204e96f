"""The parts of the JavaScript module that need no browser, by Node's own test runner; the types, by TypeScript."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def test_parts_pass_their_tests_in_node() -> None:
    command = [NODE, "--test", str(ROOT / "tests" / "web" / "js" / "parts.test.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_types_are_valid_and_name_what_the_module_exports(tmp_path: Path) -> None:
    compiler = Path(os.environ.get("NODE_MODULES", "/nonexistent")) / "typescript" / "bin" / "tsc"
    if not compiler.is_file():
        pytest.skip("TypeScript is not installed (npm install typescript)")
    (tmp_path / "use.ts").write_text(
        f"""import Default, {{ Acutance, livekitProcessor, missing }} from '{ROOT}/web/acutance.js';
        const lacks: string[] = missing();
        async function use(video: HTMLVideoElement, track: MediaStreamTrack) {{
          const acutance = await Acutance.load({{ model: 'fast', threads: 2, budget: null }});
          const sharpened = acutance.sharpenVideo(video, {{ strength: 1 }});
          const share: number = sharpened.stats().tiles.tiles;
          const out: MediaStreamTrack = acutance.sharpenTrack(track, {{ scale: 2, whenHidden: 'sharpen' }});
          await acutance.controls(out).stop();
          await livekitProcessor(acutance).init({{ track }});
          // @ts-expect-error: there is no such tier
          await Default.load({{ model: 'huge' }});
          return [share, lacks];
        }}
        export {{ use }};""",
        "utf-8",
    )
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"]
    command = [NODE, str(compiler), *options, "--lib", "es2022,dom", str(tmp_path / "use.ts")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
