#!/usr/bin/env python3
"""Makes a container image of static coracle binaries, one or several architectures, out of nothing.

No daemon and no base image: an OCI layout is plain files. The same binaries and the same time give
the same image, bit for bit; the time is SOURCE_DATE_EPOCH, else that of the last commit.

    packaging/container/image.py --out target/image BINARY...
    packaging/container/image.py --out target/image --push 127.0.0.1:5000/coracle:0.1.0 BINARY...

What is needed: python3, and skopeo for --push. The binaries come from packaging/build.sh.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

# The user inside: nobody's number on common systems, so that it owns nothing outside.
USER = 65532
# Where Distribution's image keeps its content, so that a volume can be handed over.
DATA = "/var/lib/registry"
PORT = 5000

# e_machine of the ELF header -> architecture, variant.
MACHINES = {0x3E: ("amd64", None), 0xB7: ("arm64", "v8"), 0x28: ("arm", "v7")}
PT_INTERP = 3


def platform(path):
    """What a binary runs on; refuses one that needs a loader, which the image does not have."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF" or data[5] != 1:
        sys.exit(f"{path}: is no little-endian ELF program")
    is_64 = data[4] == 2
    machine = struct.unpack_from("<H", data, 18)[0]
    if machine not in MACHINES:
        sys.exit(f"{path}: is for a machine (0x{machine:x}) that no image is made for")
    offset = struct.unpack_from("<Q" if is_64 else "<I", data, 32 if is_64 else 28)[0]
    size, count = struct.unpack_from("<HH", data, 54 if is_64 else 42)
    kinds = [struct.unpack_from("<I", data, offset + size * n)[0] for n in range(count)]
    architecture, variant = MACHINES[machine]
    found = {"architecture": architecture, "os": "linux"}
    if variant:
        found["variant"] = variant
    return found, PT_INTERP not in kinds


def layer(path, time):
    """The one layer: the program, and the folder that its user may write."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:

        def add(name, mode, kind=tarfile.DIRTYPE, owner=0, data=b"", target=""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.mtime, entry.linkname = kind, mode, time, target
            entry.uid = entry.gid = owner
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

        add("bin", 0o755)
        add("bin/coracle", 0o755, tarfile.REGTYPE, data=path.read_bytes())
        # As the program of Distribution's image is called.
        add("bin/registry", 0o777, tarfile.SYMTYPE, target="coracle")
        add("etc", 0o755)
        add("etc/coracle", 0o755)
        passwd = f"root:x:0:0::/:\ncoracle:x:{USER}:{USER}::{DATA}:\n"
        add("etc/passwd", 0o644, tarfile.REGTYPE, data=passwd.encode())
        add("etc/group", 0o644, tarfile.REGTYPE, data=f"root:x:0:\ncoracle:x:{USER}:\n".encode())
        add("tmp", 0o1777)
        add("var", 0o755)
        add("var/lib", 0o755)
        add(DATA.lstrip("/"), 0o700, owner=USER)
    return out.getvalue()


class Layout:
    """A folder in the image layout of OCI."""

    def __init__(self, folder):
        self.folder = folder
        if folder.exists():
            shutil.rmtree(folder)
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def json(self, value, media_type):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return self.blob(text.encode(), media_type)

    def finish(self, descriptor, tag):
        descriptor = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
        index = {"schemaVersion": 2, "manifests": [descriptor]}
        (self.folder / "index.json").write_text(json.dumps(index, sort_keys=True))


def manifest(layout, path, own, time, labels):
    """The image of one architecture."""
    plain = layer(path, time)
    packed = gzip.compress(plain, compresslevel=9, mtime=0)
    layers = [layout.blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")]
    created = stamp(time)
    config = {
        **own,
        "created": created,
        "config": {
            "User": f"{USER}:{USER}",
            "Entrypoint": ["/bin/coracle"],
            "Cmd": ["serve"],
            "Env": [
                "PATH=/bin",
                f"CORACLE_SERVER_LISTEN=:{PORT}",
                f"CORACLE_STORAGE_DATA={DATA}",
            ],
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Volumes": {DATA: {}},
            "WorkingDir": DATA,
            "StopSignal": "SIGTERM",
            "Labels": labels,
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"],
        },
        "history": [{"created": created, "created_by": "packaging/container/image.py"}],
    }
    config = layout.json(config, "application/vnd.oci.image.config.v1+json")
    media_type = "application/vnd.oci.image.manifest.v1+json"
    body = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config,
        "layers": layers,
        "annotations": labels,
    }
    return {**layout.json(body, media_type), "platform": own}


def stamp(time):
    from datetime import datetime, timezone

    return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def source_date():
    """The time that everything in the image has."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    command = ["git", "-C", str(Path(__file__).parent), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return 0


def version():
    manifest = Path(__file__).parents[2] / "Cargo.toml"
    line = next(own for own in manifest.read_text().splitlines() if own.startswith("version = "))
    return line.split('"')[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder of the OCI layout")
    parser.add_argument("--tag", default=version(), help="the name in the layout")
    parser.add_argument("--push", metavar="HOST/NAME:TAG", help="push it there, with skopeo")
    parser.add_argument("--plain-http", action="store_true", help="that host speaks no TLS")
    parser.add_argument(
        "--dynamic", action="store_true", help="take a program that needs a loader, for a trial"
    )
    parser.add_argument("binaries", nargs="+", type=Path, metavar="BINARY")
    typed = parser.parse_args()
    time = source_date()
    labels = {
        "org.opencontainers.image.title": "coracle",
        "org.opencontainers.image.description": "A container registry small enough to carry",
        "org.opencontainers.image.version": version(),
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    layout, manifests = Layout(typed.out), {}
    for path in typed.binaries:
        own, is_static = platform(path)
        if not is_static and not typed.dynamic:
            sys.exit(f"{path}: is not static, and an image from scratch has no loader for it")
        if own["architecture"] in manifests:
            sys.exit(f"{path}: there is one for {own['architecture']} already")
        manifests[own["architecture"]] = manifest(layout, path, own, time, labels)
    media_type = "application/vnd.oci.image.index.v1+json"
    index = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [manifests[name] for name in sorted(manifests)],
        "annotations": labels,
    }
    descriptor = layout.json(index, media_type)
    layout.finish(descriptor, typed.tag)
    print(f"{descriptor['digest']} in {typed.out}: {', '.join(sorted(manifests))}")
    if typed.push:
        flags = ["--dest-tls-verify=false"] if typed.plain_http else []
        source, target = f"oci:{typed.out}:{typed.tag}", f"docker://{typed.push}"
        subprocess.run(["skopeo", "copy", "--quiet", "--all", *flags, source, target], check=True)
        print(f"pushed to {typed.push}")


if __name__ == "__main__":
    main()
