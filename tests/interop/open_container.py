#!/usr/bin/env python3
"""Open a `*.sealed` container without Sealpost: what proto/spec/sealed-transfer.md says, and nothing else.

usage: open_container.py FILE.sealed --key KEYFILE [--share SHAREFILE] [--out DIR]
       open_container.py --vectors ../../proto/vectors/sealed-v1.json ../../proto/vectors/sealed-v1-more.json

KEYFILE holds the 64 hex digits that `sealpost keys export` writes, SHAREFILE the 64 that `sealpost receive --keep-sealed
--with-share` writes. Needs PyPI `cryptography` 50 or later and `blake3`. It checks everything but the sender's place in the
directory: it prints the sender's keys, to be compared with a fingerprint from elsewhere. Exit code 1 if a check fails.
"""
import argparse
import hashlib
import json
import re
import struct
import sys
import unicodedata
from functools import partial
from pathlib import Path

from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SEGMENT, OVERHEAD, HEADER, SEAL, GRANT = 1 << 18, 48, 248, 224, 209
P25519 = 2**255 - 19
SMALL_U = {0, 1, P25519 - 1,
           325606250916557431795983626356110631294008115727848805560023387167927233504,
           39382357235489614581723060781553021112529911719440698176882885853963445705823}
ROLES = {1: (1, 2, 3, 4), 2: (5,)}


class Refused(Exception):
    """A check failed; the argument is the reason's word."""


def require(condition, reason):
    if not condition:
        raise Refused(reason)


def sha256(data):
    return hashlib.sha256(data).digest()


def h(label, data):
    return sha256(b"sealpost/v1/" + label.encode() + b"\0" + data)


def kdf(ikm, salt, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(ikm)


def u(data):
    return int.from_bytes(data, "big")


# --- Ed25519, strictly: A and R canonical, in the prime-order group, not the neutral element; S canonical ---

D = -121665 * pow(121666, P25519 - 2, P25519) % P25519
ORDER = 2**252 + 27742317777372353535851937790883648493


def point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    require(y < P25519, "seal")
    x2 = (y * y - 1) * pow(D * y * y + 1, P25519 - 2, P25519) % P25519
    x = pow(x2, (P25519 + 3) // 8, P25519)
    if (x * x - x2) % P25519:
        x = x * pow(2, (P25519 - 1) // 4, P25519) % P25519
    require((x * x - x2) % P25519 == 0 and not (x == 0 and sign), "seal")
    return (P25519 - x if x & 1 != sign else x), y


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P25519
    return ((x1 * y2 + y1 * x2) * pow(1 + t, P25519 - 2, P25519) % P25519,
            (y1 * y2 + x1 * x2) * pow(1 - t, P25519 - 2, P25519) % P25519)


def in_prime_order_group(encoded):
    result, addend, scalar = (0, 1), point(encoded), ORDER
    require(addend != (0, 1), "seal")
    while scalar:
        result = add(result, addend) if scalar & 1 else result
        addend, scalar = add(addend, addend), scalar >> 1
    return result == (0, 1)


def verify(key, message, signature):
    require(int.from_bytes(signature[32:], "little") < ORDER, "seal")
    require(in_prime_order_group(key) and in_prime_order_group(signature[:32]), "seal")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        raise Refused("seal") from None


# --- header and stanzas ---

def parse_header(raw, now, audience):
    require(len(raw) == HEADER and raw[:8] == b"SEALPOST", "format")
    version, suite, flags = struct.unpack(">HHI", raw[8:16])
    created, expires = struct.unpack(">QQ", raw[64:80])
    require(version == 1 and suite == 1 and flags < 16 and raw[208:216] == struct.pack(">II", SEGMENT, 0), "format")
    require(created < expires <= created + 366 * 86400, "format")
    require((raw[176:208] != bytes(32)) == bool(flags & 1), "format")
    require((raw[112:144] == bytes(32)) == bool(flags & 4), "format")
    require(audience is None or raw[80:112] == audience, "audience")
    require(created <= now + 86400 and now <= expires + 600, "expired")
    return {"flags": flags, "created": created, "expires": expires, "identity": raw[112:144], "device": raw[144:176],
            "share_commit": raw[176:208], "commitment": raw[216:248], "prefix": raw[:216],
            "hash": h("header", raw), "prefix_hash": h("prefix", raw[:216]), "id": raw[16:32]}


def parse_stanza(kind, role, body, granted=False):
    if kind == 0 and not granted:
        require(role == 0 and len(body) == 32, "format")
        return {"type": 0, "hash": body}
    if granted:
        require((kind, role) in ((1, 6), (2, 5)), "format")
    else:
        require(1 <= role <= 5 and (kind not in ROLES or role in ROLES[kind]), "format")
    stanza = {"type": kind, "role": role, "body": body}
    if kind == 1:
        require(len(body) == 1200, "format")
        stanza["order"] = body[:32]
    elif kind == 2:
        require(len(body) == 130, "format")
        kdf_id, m, t, p = struct.unpack(">BIBB", body[16:23])
        require(body[23:34] == bytes(11), "format")
        if kdf_id == 0:
            require((m, t, p) == (0, 0, 0) and body[34:50] == bytes(16), "format")
        else:
            require(kdf_id == 1 and p == 1 and 19 * 1024 <= m <= 1 << 20 and 2 <= t <= 10, "format")
        stanza.update(order=body[:16], kdf=kdf_id, m=m, t=t, salt=body[34:50], wrap_salt=body[50:82], ct=body[82:])
    stanza["hash"] = sha256(struct.pack(">HBBI", kind, role, 0, len(body)) + body)
    return stanza


def parse_block(raw, flags):
    require(4 <= len(raw) <= 1 << 20 and raw[2:4] == b"\0\0", "format")
    count, at, stanzas = u(raw[:2]), 4, []
    require(1 <= count <= 256, "format")
    while at < len(raw):
        require(len(stanzas) < count and at + 8 <= len(raw), "format")
        kind, role, reserved, length = struct.unpack(">HBBI", raw[at:at + 8])
        require(reserved == 0 and at + 8 + length <= len(raw), "format")
        stanzas.append(parse_stanza(kind, role, raw[at + 8:at + 8 + length]))
        at += 8 + length
    require(len(stanzas) == count, "format")
    visible = [s for s in stanzas if s["type"]]
    for before, after in zip(visible, visible[1:]):
        require(before["type"] <= after["type"], "format")
        if before["type"] == after["type"] and "order" in before:
            require(before["order"] < after["order"], "format")
    has_recovery = any(s["role"] == 3 for s in visible)
    require(not has_recovery or flags & 8, "format")
    require(has_recovery or not flags & 8 or len(visible) < count, "format")
    return stanzas, h("stanzas", struct.pack(">H", count) + b"".join(s["hash"] for s in stanzas))


def parse_grant(raw, stanza_raw, header, trusted):
    """The stanza that a grant of 209 bytes carries, once everything that the grant says was checked."""
    require(len(raw) == GRANT and raw[:8] == b"SPGRANT1" and len(stanza_raw) >= 8, "format")
    kind, role, reserved, length = struct.unpack(">HBBI", stanza_raw[:8])
    require(reserved == 0 and len(stanza_raw) == 8 + length, "format")
    stanza = parse_stanza(kind, role, stanza_raw[8:], granted=True)
    identity, device, (time, purpose) = raw[72:104], raw[104:136], struct.unpack(">QB", raw[136:145])
    try:
        verify(device, b"sealpost/v1/grant\0" + raw[:145], raw[145:])
    except Refused:
        raise Refused("grant") from None
    require(raw[8:40] == header["hash"] and raw[40:72] == stanza["hash"], "grant")
    require(1 <= purpose <= 4 and (purpose == 3) == (kind == 2) and not (purpose == 1 and header["flags"] & 2), "grant")
    require(header["created"] <= time <= header["expires"], "grant")
    require(trusted is None or trusted.get(device) == identity, "grant")
    return stanza


class XWing:
    """A person's encryption key from its 32-byte seed."""

    def __init__(self, seed):
        expanded = hashlib.shake_256(seed).digest(96)
        ml, x = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
        public = ml.public_key().public_bytes_raw() + x.public_key().public_bytes_raw()
        self.kid, self.key = h("kid", b"\x64\x7a" + public), hpke.MLKEM768X25519PrivateKey(ml, x)

    def open(self, stanza, header_hash):
        enc, ct = stanza["body"][32:1152], stanza["body"][1152:]
        part = int.from_bytes(enc[-32:], "little") & (2**255 - 1)
        require(part < P25519 and part not in SMALL_U, "key")
        info = b"sealpost/v1/stanza\0" + header_hash + self.kid + bytes([stanza["role"]])
        suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
        try:
            return suite.decrypt(enc + ct, self.key, info)
        except Exception:  # the library's error types differ by cause; all mean "does not open"
            raise Refused("key") from None


def normal_words(text):
    return " ".join(re.findall("[a-z]+", unicodedata.normalize("NFKC", text).lower())).encode()


def open_link(stanza, header_hash, words, secret):
    require((words is not None) == (stanza["kdf"] == 1), "key")
    pw = bytes(32)
    if words is not None:
        pw = Argon2id(salt=stanza["salt"], length=32, iterations=stanza["t"], lanes=1, memory_cost=stanza["m"]).derive(normal_words(words))
    info = b"sealpost/v1/link-wrap\0" + stanza["order"] + stanza["wrap_salt"]
    return decrypt(kdf((secret or bytes(32)) + pw, header_hash, info, 44), stanza["ct"], "key")


def decrypt(key_iv, ciphertext, reason):
    try:
        return AESGCM(key_iv[:32]).decrypt(key_iv[32:], ciphertext, None)
    except InvalidTag:
        raise Refused(reason) from None


# --- manifest ---

def pairs(items):
    require(len({k for k, _ in items}) == len(items), "manifest")
    return dict(items)


def integer(text):
    value = int(text)
    require(text != "-0" and abs(value) < 2**53, "manifest")
    return value


def refuse_number(_text):
    raise Refused("manifest")


def check_values(value, depth=1):
    if isinstance(value, str):
        require(len(value.encode("utf-8", "surrogatepass")) <= 65536, "manifest")
        require(not any(0xD800 <= ord(c) < 0xE000 or ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in value), "manifest")
    elif isinstance(value, (dict, list)):
        require(depth <= 8, "manifest")
        for part in (list(value) + list(value.values()) if isinstance(value, dict) else value):
            check_values(part, depth + 1)


def shape(value, required, optional):
    require(isinstance(value, dict) and set(required) <= set(value) <= set(required) | set(optional), "manifest")
    for key, kind in {**required, **optional}.items():
        if key in value:
            require(isinstance(value[key], kind) and not (kind is int and isinstance(value[key], bool)), "manifest")


DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$)", re.I | re.A)


def check_name(name):
    require(1 <= len(name.encode()) <= 255 and unicodedata.normalize("NFC", name) == name and name not in (".", ".."), "manifest")
    require(not any(c in '/\\:' or unicodedata.category(c) == "Cc" or 0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in name), "manifest")
    require(name[-1] not in ". " and not DEVICE.fullmatch(name.split(".")[0].rstrip(" ")), "manifest")


def parse_manifest(raw, header):
    try:
        text = raw.decode("utf-8")
        require(not text.startswith("\ufeff"), "manifest")
        manifest = json.loads(text, object_pairs_hook=pairs, parse_int=integer, parse_float=refuse_number, parse_constant=refuse_number)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Refused("manifest") from None
    check_values(manifest)
    shape(manifest, dict(v=int, patients=list, purpose=str, disclosure=dict, files=list, created=int, expires=int),
          dict(subject=str, note=str, reply_to=str))
    require(manifest["v"] == 1 and manifest["purpose"], "manifest")
    require((manifest["created"], manifest["expires"]) == (header["created"], header["expires"]), "manifest")
    shape(manifest["disclosure"], dict(category=str, basis=str), {})
    for patient in manifest["patients"]:
        shape(patient, dict(system=str, value=str), dict(display=str))
    require(len(manifest["files"]) <= 65536, "manifest")
    total, names = 0, set()
    for file in manifest["files"]:
        shape(file, dict(name=str, mime=str, off=int, len=int, blake3=str), dict(sha256=str, mtime=int))
        require(all(re.fullmatch("[0-9a-f]{64}", file[k]) for k in ("blake3", "sha256") if k in file), "manifest")
        check_name(file["name"])
        names.add(unicodedata.normalize("NFC", file["name"].lower()))
        require(file["off"] == total and file["len"] >= 0, "manifest")
        total += file["len"]
    require(len(names) == len(manifest["files"]), "manifest")
    return manifest, total


# --- payload ---

def padme(length):
    e = length.bit_length() - 1
    step = 1 << (e - e.bit_length())
    return -(-length // step) * step


def tree(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + tree(leaves[:split]) + tree(leaves[split:]))


def open_container(raw, keys=(), share=None, links=(), now=None, audience=None, trusted=None,
                   leaf_list=None, grant=None):
    """Returns (header, manifest, list of (name, bytes)).

    `trusted`: device key to identity key, None: not checked. `leaf_list`: as a gateway serves it, None: made from the payload.
    `grant`: a grant and its stanza, which is opened instead of one in the block.
    """
    require(len(raw) >= HEADER + 4 + SEAL, "format")
    header = parse_header(raw[:HEADER], now, audience)
    seal = raw[-SEAL:]
    require(seal[:8] == b"SPSEAL1\0", "format")
    n, payload_len, sealed_at = u(seal[104:112]), u(seal[112:120]), u(seal[152:160])
    block_len = u(raw[HEADER:HEADER + 4])
    payload_at = HEADER + 4 + block_len
    require(payload_at + payload_len + 4 + SEAL <= len(raw), "format")
    payload = raw[payload_at:payload_at + payload_len]
    box_at = payload_at + payload_len + 4
    box = raw[box_at:-SEAL]
    require(u(raw[box_at - 4:box_at]) == len(box), "format")
    require((len(box) - 48) % 4096 == 0 and 48 < len(box) <= (16 << 20) + 48, "format")
    stanzas, stanzas_hash = parse_block(raw[HEADER + 4:payload_at], header["flags"])

    require(seal[8:40] == header["hash"] and header["created"] <= sealed_at <= header["expires"], "seal")
    verify(header["device"], b"sealpost/v1/seal\0" + seal[:160], seal[160:])
    if trusted is not None and not header["flags"] & 4:
        require(trusted.get(header["device"]) == header["identity"], "sender")
    require(seal[40:72] == stanzas_hash, "stanzas")

    if grant is not None:
        stanzas = [parse_grant(*grant, header, trusted)]
    by_kid = {key.kid: key for key in keys}
    mine = [by_kid[s["order"]].open(s, header["hash"]) for s in stanzas if s["type"] == 1 and s["order"] in by_kid]
    for link_id, words, secret in links:
        mine += [open_link(s, header["hash"], words, secret) for s in stanzas if s["type"] == 2 and s["order"] == link_id]
    require(mine and len(mine[0]) == 32, "key")

    if header["flags"] & 1:
        require(share is not None and len(share) == 32 and h("share", share) == header["share_commit"], "share")
    secrets = mine[0] + (share if header["flags"] & 1 else bytes(32))
    require(kdf(secrets, header["prefix_hash"], b"sealpost/v1/commit\0", 32) == header["commitment"], "commitment")
    payload_secret = kdf(secrets, header["hash"], b"sealpost/v1/payload\0", 32)
    manifest_secret = kdf(secrets, header["hash"], b"sealpost/v1/manifest\0", 32)

    require(seal[72:104] == h("manifest-box", box), "manifest")
    plain = decrypt(kdf(manifest_secret, header["hash"], b"sealpost/v1/manifest-box\0" + box[:32], 44), box[32:], "manifest")
    length = u(plain[:4])
    require(4 + length <= len(plain) and not any(plain[4 + length:]), "manifest")
    manifest, total = parse_manifest(plain[4:4 + length], header)

    padded = padme(max(total, 16384))
    require(n == padded // SEGMENT + 1 and payload_len == padded + 48 * n, "leaves")
    stored = [payload[i * (SEGMENT + OVERHEAD):(i + 1) * (SEGMENT + OVERHEAD)] for i in range(n)]
    leaves = [sha256(b"\0" + s) for s in stored]
    if leaf_list is not None:
        served = [leaf_list[i:i + 32] for i in range(0, len(leaf_list), 32)]
        require(len(leaf_list) == 32 * n and tree(served) == seal[120:152] and served == leaves, "leaves")
    require(tree(leaves) == seal[120:152], "leaves")
    stream = b""
    for i, segment in enumerate(stored):
        info = b"sealpost/v1/segment\0" + segment[:32] + struct.pack(">QB", i, i == n - 1)
        stream += decrypt(kdf(payload_secret, header["hash"], info, 44), segment[32:], "segment")
    require(len(stream) == padded and not any(stream[total:]), "padding")
    files = [(f, stream[f["off"]:f["off"] + f["len"]]) for f in manifest["files"]]
    for file, content in files:
        require(blake3(content).hexdigest() == file["blake3"], "digest")
        require("sha256" not in file or sha256(content).hex() == file["sha256"], "digest")
    return header, manifest, [(file["name"], content) for file, content in files]


# --- the vectors: the same verdicts as everybody else ---

def pattern(length):
    """Byte j is 7j + 13(j >> 8) + 29(j >> 16); what differs between two rows of 256 bytes is only where they begin."""
    row = [bytes((7 * i + start) % 256 for i in range(256)) for start in range(256)]
    return b"".join(row[(13 * k + 29 * (k >> 8)) % 256] for k in range(-(-length // 256)))[:length]


def generate(entry):
    """A container of which the vectors hold all but the payload, sealed here with the salts of the vectors' rule."""
    header, block, box, body, signature, secret, share = (
        bytes.fromhex(entry[part]) for part in ("header", "block", "box", "seal_body", "signature", "TS", "share"))
    total = sum(file["len"] for file in entry["files"])
    padded, header_hash = padme(max(total, 16384)), h("header", header)
    stream, n = pattern(total) + bytes(padded - total), padded // SEGMENT + 1
    payload_secret = kdf(secret + share, header_hash, b"sealpost/v1/payload\0", 32)
    payload = b""
    for i in range(n):
        salt = h("vector", entry["name"].encode() + b"\0segment_salt\0" + struct.pack(">Q", i))
        key_iv = kdf(payload_secret, header_hash, b"sealpost/v1/segment\0" + salt + struct.pack(">QB", i, i == n - 1), 44)
        payload += salt + AESGCM(key_iv[:32]).encrypt(key_iv[32:], stream[i * SEGMENT:(i + 1) * SEGMENT], None)
    return header + struct.pack(">I", len(block)) + block + payload + struct.pack(">I", len(box)) + box + body + signature


class Vectors:
    """A file of vectors, and `sealed-v1.json` beside it for what both have in common."""

    def __init__(self, path):
        self.folder, self.vectors = path.parent, json.loads(path.read_text())
        common = json.loads((path.parent / "sealed-v1.json").read_text())
        self.defaults = common["open_defaults"]
        self.seeds = {r["name"]: r["xwing_seed"] for r in common["recipients"]}
        self.containers = {c["name"]: c for c in self.vectors["containers"]}
        self.contents = {}

    def content(self, entry):
        if "pieces" in entry:
            return b"".join(bytes.fromhex(p) if isinstance(p, str) else self.container(p[0])[p[1]:p[2]] for p in entry["pieces"])
        if "file" in entry:
            return (self.folder / entry["file"]).read_bytes()
        return bytes.fromhex(entry["hex"]) if "hex" in entry else generate(entry)

    def container(self, name):
        if name not in self.contents:
            self.contents[name] = self.content(self.containers[name])
        return self.contents[name]

    def cases(self):
        """(name, expected verdict, what gives the verdict)"""
        for name, entry in self.containers.items():
            ways = entry["open_with"] if isinstance(entry["open_with"], list) else [entry["open_with"]]
            for i, how in enumerate(ways):
                yield f"{name}/{i}", "accept", partial(self.open, self.container(name), entry, how, entry.get("grant"), entry["files"])
        for entry in self.vectors.get("positives", []) + self.vectors.get("negatives", []):
            yield entry["name"], entry["expect"], partial(
                self.open, self.content(entry), self.containers[entry["container"]], entry.get("open", {}))
        for entry in self.vectors.get("grants", []):
            container, raw, block = self.containers[entry["container"]], self.container(entry["container"]), bytes.fromhex(entry["block"])
            raw = raw[:HEADER] + struct.pack(">I", len(block)) + block + raw[HEADER + 4 + u(raw[HEADER:HEADER + 4]):]
            yield f"grant {entry['name']}", entry["expect"], partial(
                self.open, raw, container, entry["open"], entry, container["files"])
        for entry in self.vectors.get("blocks", []):
            yield f"block {entry['name']}", entry["as_read"], partial(parse_block, bytes.fromhex(entry["block"]), 0)

    def open(self, raw, container, how, grant=None, files=None):
        share = how.get("share", container["share"])
        # Opened by R1 unless the entry says otherwise, as the vectors' `open` convention has it.
        link = how.get("link") or (how if "link_id" in how else None)
        # The id of a link that was granted stands first in the body of its stanza.
        link_id = link and bytes.fromhex(link["link_id"] if "link_id" in link else grant["stanza"][16:48])
        links = [(link_id, link["words"], link["secret"] and bytes.fromhex(link["secret"]))] if link else []
        own = [] if link else [XWing(bytes.fromhex(how.get("xwing_seed") or self.seeds[how.get("recipient", "R1")]))]
        trusted = {bytes.fromhex(k): bytes.fromhex(v) for k, v in how.get("trusted", self.defaults["trusted"]).items() if v}
        _, _, opened = open_container(
            raw, own, share and bytes.fromhex(share), links, how.get("now", self.defaults["now"]),
            bytes.fromhex(how.get("audience", self.defaults["audience"])), trusted,
            bytes.fromhex(how["leaf_list"]) if "leaf_list" in how else None,
            grant and (bytes.fromhex(grant["grant"]), bytes.fromhex(grant["stanza"])))
        found = [(name, len(content), blake3(content).hexdigest()) for name, content in opened]
        require(files is None or found == [(file["name"], file["len"], file["blake3"]) for file in files], "other files")


COVERED = {"name", "description", "conventions", "fixed", "open_defaults", "recipients",
           "containers", "positives", "negatives", "grants", "blocks"}


def verdict(attempt):
    try:
        attempt()
        return "accept"
    except Refused as refused:
        return f"reject ({refused})"


def run_vectors(paths):
    passed, failed = 0, 0
    for path in paths:
        vectors = Vectors(path)
        for name, expected, attempt in vectors.cases():
            found = verdict(attempt)
            if found.startswith(expected):
                passed += 1
            else:
                failed += 1
                print(f"FAILED {path.name} {name}: {found}, expected {expected}")
        if others := sorted(set(vectors.vectors) - COVERED):
            print(f"{path.name}: not run here, but by the tests in Rust: {', '.join(others)}")
    print(f"{passed} passed, {failed} failed")
    return passed > 0 and failed == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("container", nargs="?", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--share", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--vectors", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.vectors:
        return run_vectors(arguments.vectors)
    key = XWing(bytes.fromhex(arguments.key.read_text().strip()))
    share = bytes.fromhex(arguments.share.read_text().strip()) if arguments.share else None
    import time
    try:
        header, manifest, files = open_container(arguments.container.read_bytes(), [key], share, now=int(time.time()))
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return False
    print(f"transfer {header['id'].hex()} from identity {header['identity'].hex()}, device {header['device'].hex()}")
    print(json.dumps({k: v for k, v in manifest.items() if k != "files"}, ensure_ascii=False))
    for name, content in files:
        print(f"{len(content):>12}  {name}")
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            with open(arguments.out / name, "xb") as file:
                file.write(content)
    return True


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
