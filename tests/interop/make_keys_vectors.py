#!/usr/bin/env python3
"""Make ../../proto/vectors/keys-v1.json: known answers for statements, receipts, checkpoints, enrolment and signed requests.

Written from proto/spec alone with PyPI `cryptography` (50 or later) as the only library, so that it shares no code with the
Rust. Same bytes every time. Published entries are never edited; new ones are added.
usage: make_keys_vectors.py > ../../proto/vectors/keys-v1.json
"""
import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def seq(start, n):
    return bytes((start + i) % 256 for i in range(n))


def sha256(data):
    return hashlib.sha256(data).digest()


def h(label, data):
    return sha256(b"sealpost/v1/" + label.encode() + b"\0" + data)


def kdf(ikm, salt, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(ikm)


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Signer:
    def __init__(self, seed):
        self.seed = seed
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.key.public_key().public_bytes_raw()

    def sign(self, message):
        return self.key.sign(message)


def xwing_public(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    ml = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key().public_bytes_raw()
    return ml + X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()


def note(text, signers):
    """signers: list of (name, Signer)."""
    lines = []
    for name, signer in signers:
        key_id = sha256(name.encode() + b"\n\x01" + signer.public)[:4]
        lines.append(f"— {name} {b64(key_id + signer.sign(text.encode()))}\n")
    return text + "\n" + "".join(lines)


def by_role(role, signer):
    return f"{role}/{signer.public.hex()}", signer


root, registrar, identity, device, log = (Signer(seq(start, 32)) for start in (1, 40, 80, 120, 160))
ek_seed, dek_seed = seq(200, 32), seq(20, 32)
ek, dek = xwing_public(ek_seed), xwing_public(dek_seed)
directory_key = seq(60, 32)
address = "front.desk@clinic.example"
label = mac(directory_key, address.encode())
org = h("org", root.public)
gateway = "gw.example.org/sealpost"
valid = "valid 1767225600 1798761600\n"


def head(kind, number, previous=None, with_label=True):
    text = f"sealpost.dev/v1/{kind}\norg {org.hex()}\n"
    text += f"label {label.hex()}\n" if with_label else ""
    text += f"seq {number}\n"
    return text + (f"prev {b64(sha256(previous.encode()))}\n" if previous else "")


statements = []


def statement(kind, text, signers):
    signed = note(text, signers)
    number = text.split("\nseq ")[1].split("\n")[0]
    who = label.hex() if "\nlabel " in text else "-"
    statements.append({
        "type": kind, "note": signed, "hash": sha256(signed.encode()).hex(),
        "leaf": f"d1 {who} {kind} {number} {sha256(signed.encode()).hex()}",
    })
    return signed


statement("org", head("org", 1, with_label=False) + f"or {b64(root.public)}\nname Riverside Clinic\n", [by_role("or", root)])
statement("registrar", head("registrar", 1) + f"rk {b64(registrar.public)}\n{valid}", [by_role("or", root)])
member_text = f"ik {b64(identity.public)}\nek 647a {{}} {b64(ek)}\n{valid}"
member = statement("member", head("member", 1) + member_text.format(1), [by_role("rk", registrar), by_role("ik", identity)])
statement("device", head("device", 1) + f"ik {b64(identity.public)}\ndk {b64(device.public)}\ndek 647a {b64(dek)}\n{valid}",
          [by_role("ik", identity)])
statement("member", head("member", 2, member) + member_text.format(2) + "bundle 7\n",
          [by_role("rk", registrar), by_role("ik", identity)])
statement("revoke", head("revoke", 1) + f"key dk {b64(device.public)}\ntime 1767300000\n", [by_role("rk", registrar)])


def tree(leaves):
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"")
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + tree(leaves[:split]) + tree(leaves[split:]))


heads = [tree([sha256(b"\0" + s["leaf"].encode()) for s in statements[:n]]) for n in range(len(statements) + 1)]
origin = f"{gateway}/directory"
checkpoint = note(f"{origin}\n{len(statements)}\n{b64(heads[-1])}\n", [(origin, log)])

facts = f"transfer {h('header', b'x').hex()}\nroot {b64(sha256(b'r'))} 3\nmic sha-256 {h('manifest-box', b'b').hex()}\n"
times = "original-time 1767225660\ntime 1767226000\n"
first = "sealpost.dev/v1/receipt\n"
person = f"recipient {b64(identity.public)} {b64(device.public)}\n"
client = "client sealpost-cli/0.1.0\nassurance member\n"
countersign = (f"{gateway}/receipts", log)
texts = {
    "accepted": (f"{first}kind accepted\n{facts}{times}directory 6 {b64(heads[6])}\n", [countersign]),
    "verified": (f"{first}kind verified\n{facts}{person}{times}{client}", [by_role("dk", device), countersign]),
    "rejected": (f"{first}kind rejected\n{facts}{person}{times}{client}reason segment\n", [by_role("dk", device), countersign]),
    "expired-unopened": (f"{first}kind expired-unopened\n{facts}{times}", [countersign]),
}
receipts = [{"kind": kind, "note": note(text, signers), "text_sha256": sha256(text.encode()).hex()}
            for kind, (text, signers) in texts.items()]

secret, invite, pin = seq(33, 32), seq(70, 16), seq(90, 32)
ikm = secret + bytes(32)
invite_auth = kdf(ikm, invite, b"sealpost/v1/invite-auth\0", 32)
mac_key = kdf(ikm, invite, b"sealpost/v1/invite-mac\0", 32)
where = f"url=https://gw.example.org:8443;gw={gateway};pin={b64url(pin)};log={b64url(log.public)}"
enrolment = {
    "secret": secret.hex(), "invite": invite.hex(), "pin": pin.hex(), "directory_key": directory_key.hex(),
    "setup_string": f"sealpost-setup:v1;{where};s={b64url(secret)}",
    "enrolment_string": f"sealpost-enrol:v1;{where};org={org.hex()};dir={b64url(directory_key)};to={address};"
                        f"inv={invite.hex()};s={b64url(secret)}",
    "setup_auth": kdf(ikm, gateway.encode(), b"sealpost/v1/setup-auth\0", 32).hex(),
    "invite_auth": invite_auth.hex(), "invite_auth_sha256": sha256(invite_auth).hex(),
    "mac": mac(mac_key, label + identity.public + ek + device.public).hex(),
}

low, high = sorted((identity.public, device.public))
bits = int.from_bytes(h("safety", low + high)[:25], "big") % 10**60
digits = f"{bits:060d}"
safety = " ".join(digits[i:i + 5] for i in range(0, 60, 5))


def request(method, path, query, covered, values):
    nonce = b64(seq(5, 16))
    params = "(" + " ".join(f'"{c}"' for c in covered) + ")"
    params += f';created=1767226000;expires=1767226060;nonce="{nonce}";alg="ed25519";keyid="{device.public.hex()}";tag="sealpost-v1"'
    values = {"@method": method, "@authority": "gw.example.org:8443", "@path": path, "@query": "?" + query, **values}
    base = "".join(f'"{c}": {values[c]}\n' for c in covered) + f'"@signature-params": {params}'
    return {"method": method, "authority": "gw.example.org:8443", "path": path, "query": query,
            "headers": {c: values[c] for c in covered if not c.startswith("@")}, "created": 1767226000,
            "nonce": seq(5, 16).hex(), "base": base, "signature_input": f"sp={params}",
            "signature": f"sp=:{b64(device.sign(base.encode()))}:"}


core = ["@method", "@authority", "@path", "@query"]
seen = {"sealpost-seen": f"{origin} 6 {b64(heads[6])}"}
body = b'{"transfer":"00","bytes":1}'
requests = [
    request("GET", "/v1/inbox", "limit=10", core + ["sealpost-seen"], seen),
    request("POST", "/v1/transfers", "", core + ["sealpost-seen", "content-digest", "content-length", "idempotency-key"],
            {**seen, "content-digest": f"sha-256=:{b64(sha256(body))}:", "content-length": str(len(body)),
             "idempotency-key": "0c34e9ae-0000-4000-8000-000000000001"}),
    request("PUT", "/v1/transfers/00/parts/0", "", core + ["content-length", "sealpost-part-root", "sealpost-seen"],
            {**seen, "content-length": "16432", "sealpost-part-root": f":{b64(sha256(b'r'))}:"}),
]

document = {
    "name": "keys-v1",
    "description": "Known answers for statements and their log, receipts, enrolment and signed requests. Byte strings are "
                   "lower-case hex, texts are texts. Made by tests/interop/make_keys_vectors.py. Never edited, only added to.",
    "keys": {"root_seed": root.seed.hex(), "registrar_seed": registrar.seed.hex(), "identity_seed": identity.seed.hex(),
             "device_seed": device.seed.hex(), "log_seed": log.seed.hex(), "root": root.public.hex(),
             "registrar": registrar.public.hex(), "identity": identity.public.hex(), "device": device.public.hex(),
             "log": log.public.hex(), "ek_seed": ek_seed.hex(), "ek": ek.hex(), "dek": dek.hex(),
             "kid": h("kid", b"\x64\x7a" + ek).hex()},
    "gateway": gateway, "audience": h("audience", gateway.encode()).hex(), "address": address, "label": label.hex(),
    "org": org.hex(), "safety_number": safety, "statements": statements, "directory_heads": [x.hex() for x in heads],
    "checkpoint": checkpoint, "receipts": receipts, "enrolment": enrolment, "requests": requests,
}

if __name__ == "__main__":
    print(json.dumps(document, indent=1, ensure_ascii=False))
