"""What does `jamais convert` do?"""

from __future__ import annotations

import json
from typing import Any

import click

from jamais.cli import told


@click.command("convert")
@click.argument("source")
@click.argument("target")
@click.option("--to", type=click.Choice(["bin", "json", "folder"]), help="What TARGET becomes; else its suffix says.")
@click.option("--version", metavar="N", help="Which version of a store: its number or a name.")
@click.option("--numbers", "arrays", flag_value="numbers", help="JSON: numbers that people read (as it comes).")
@click.option("--base64", "arrays", flag_value="base64", help="JSON: a third of the size.")
@click.option("--weights", type=click.Choice(["safetensors", "bin"]), help="Folder: how the weights are written.")
@click.option("--digest", type=click.Choice(["xxh3-128", "sha256"]), help="bin: how arrays are sealed.")
@click.option("--force", is_flag=True, help="Replace TARGET; write long JSON.")
@click.option("--accept-edits", is_flag=True, help="Take a JSON or folder that was edited by hand.")
@click.option("--json", "as_json", is_flag=True, help="What was done as one JSON object.")
def command(source: str, target: str, version: str | None, as_json: bool, **options: Any) -> None:
    """Write a saved state as a file, a JSON text or a folder.

    From any of them, or a version of a store. TARGET's suffix says which: .bin or .safetensors, .json, else a
    folder. The state is the same bit for bit: it is read back, and its sha256 is told.

    \b
    Example:
      jamais convert watchers/app app.bin
      jamais convert watchers/app@best app.json --base64
      jamais convert model.json model-folder --accept-edits
    """
    from jamais.cli.versions import converting
    from jamais.cli.versions.where import Where

    of_faces = {name: options.pop(name) for name in ("arrays", "weights", "digest")}
    done = converting.converted(Where.parse(source, version), target, options=of_faces, **options)
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=False))
    else:
        click.echo(told.plain(f"{done['source']} → {target}: {done['type']}, {told.size(done['size_bytes'])}"))
        click.echo(f"state_sha256 {done['state_sha256']}, the same on both sides")
