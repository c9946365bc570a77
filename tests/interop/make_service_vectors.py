#!/usr/bin/env python3
"""Make ../../proto/vectors/service-v1.json: known answers for service statements, and texts that must be refused.

Written from proto/spec/directory.md alone, with the helpers and keys of make_keys_vectors.py. Same bytes every time. Published entries
are never edited; new ones are added.
usage: make_service_vectors.py > ../../proto/vectors/service-v1.json
"""
import json

from make_keys_vectors import (address, b64, by_role, directory_key, label, mac, note, org, registrar, sha256, statements, valid)

robot_address = "billing@clinic.example"
robot = mac(directory_key, robot_address.encode())


def text(lines, number=1, previous=None, who=robot):
    head = f"sealpost.dev/v1/service\norg {org.hex()}\nlabel {who.hex()}\nseq {number}\n"
    return head + (f"prev {b64(sha256(previous.encode()))}\n" if previous else "") + lines


def signed(body):
    return note(body, [by_role("rk", registrar)])


good = [
    f"scopes receive send\nnetworks 10.0.0.0/8 192.0.2.7/32\n{valid}",
    f"scopes receive send link\nnetworks any\n{valid}",
    f"scopes link\nnetworks ::/0 2001:db8::/32 fd00::1/128 0.0.0.0/0\nvalid 1767312000 1767312000\n",
    "scopes send\nnetworks " + " ".join(f"10.0.{n}.0/24" for n in range(64)) + f"\n{valid}",
]
chain, previous = [], None
for number, lines in enumerate(good, 1):
    previous = signed(text(lines, number, previous))
    digest = sha256(previous.encode()).hex()
    chain.append({"note": previous, "hash": digest, "leaf": f"d1 {robot.hex()} service {number} {digest}"})

first = text(good[0])
scopes, networks = "scopes receive send\n", "networks 10.0.0.0/8 192.0.2.7/32\n"
bad = {
    "no scope": first.replace(scopes, "scopes \n"),
    "no line of scopes": first.replace(scopes, ""),
    "a scope twice": first.replace(scopes, "scopes receive receive\n"),
    "scopes out of order": first.replace(scopes, "scopes send receive\n"),
    "an unknown scope": first.replace(scopes, "scopes receive admin\n"),
    "two spaces between scopes": first.replace(scopes, "scopes receive  send\n"),
    "a scope in capitals": first.replace(scopes, "scopes Receive\n"),
    "two lines of scopes": first.replace(scopes, "scopes receive\nscopes send\n"),
    "networks before scopes": first.replace(scopes + networks, networks + scopes),
    "no network": first.replace(networks, "networks \n"),
    "no line of networks": first.replace(networks, ""),
    "any beside a network": first.replace(networks, "networks any 10.0.0.0/8\n"),
    "a network twice": first.replace(networks, "networks 10.0.0.0/8 10.0.0.0/8\n"),
    "bits behind the length": first.replace(networks, "networks 10.0.0.1/8\n"),
    "an address without length": first.replace(networks, "networks 10.0.0.1\n"),
    "a length with a leading zero": first.replace(networks, "networks 10.0.0.0/08\n"),
    "a length beyond the address": first.replace(networks, "networks 10.0.0.0/33\n"),
    "a number with a leading zero": first.replace(networks, "networks 010.0.0.0/8\n"),
    "IPv6 in capitals": first.replace(networks, "networks 2001:DB8::/32\n"),
    "IPv6 not shortened": first.replace(networks, "networks 2001:db8:0:0:0:0:0:0/32\n"),
    "IPv4 as IPv6": first.replace(networks, "networks ::ffff:10.0.0.0/104\n"),
    "65 networks": first.replace(networks, "networks " + " ".join(f"10.0.{n}.0/24" for n in range(65)) + "\n"),
    "no validity": first.replace(valid, ""),
    "an end before the beginning": first.replace(valid, "valid 1798761600 1767225600\n"),
    "a further line": first + "rate 7\n",
    "no label": first.replace(f"label {robot.hex()}\n", ""),
}
refused = [{"why": why, "note": signed(body)} for why, body in bad.items()]
assert all(body != first for body in bad.values())

document = {
    "name": "service-v1",
    "description": "Known answers for service statements, beside keys-v1.json, whose keys and first five statements come before them. "
                   "'chain' is taken in its order; every note of 'refused' is not in the form of its type; 'registrar' is in form and "
                   "refused by a directory. Made by tests/interop/make_service_vectors.py. Never edited, only added to.",
    "address": robot_address, "label": robot.hex(), "before": len(statements) - 1, "chain": chain, "refused": refused,
    "registrar": {"why": f"{address} is a registrar", "note": signed(text(good[1], who=label))},
}

if __name__ == "__main__":
    print(json.dumps(document, indent=1, ensure_ascii=False))
