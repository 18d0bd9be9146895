"""Signs messages with dkimpy in all its ways, spoils some, and prints each with dkimpy's own verdict, one JSON a line.

Argument: the folder of dkimpy's test data.
"""

import base64
import json
import os
import sys

import dkim

folder = sys.argv[1]


def data(name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def crlf(octets):
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


ED25519 = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
SHORT = (
    b"k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANmBe10IgY+u7h3enWTukkqtUD5PR52T"
    b"b/mPfjC0QJTocVBq6Za/PlzfV+Py92VaCak19F4WrbVTK5Gg5tW220MCAwEAAQ=="
)
TEST = data("test.txt")


def report(name, message, texts):
    message = crlf(message)
    zone = {key + ".": text for key, text in texts.items()}
    try:
        verdict = bool(dkim.verify(message, dnsfunc=lambda asked, timeout=5: zone.get(asked.decode("utf-8", "replace"))))
    except Exception:
        verdict = False
    print(
        json.dumps(
            {
                "name": name,
                "message": base64.b64encode(message).decode(),
                "texts": {key: text.decode("utf-8", "replace") for key, text in texts.items()},
                "passes": verdict,
            }
        )
    )


def spoilt(name, message, texts):
    report(name, message, texts)
    head, body = crlf(message).split(b"\r\n\r\n", 1)
    report(name + ", body added to", message + b"more\r\n", texts)
    report(name + ", empty lines added", crlf(message) + b"\r\n\r\n\r\n", texts)
    report(name + ", blanks added", head + b"\r\n\r\n" + body.replace(b"\r\n", b"  \r\n", 1), texts)
    report(name + ", field added", b"X-Other: 1\r\n" + message, texts)
    report(name + ", From added", b"From: evil@example.net\r\n" + message, texts)
    report(name + ", From added below", head + b"\r\nFrom: evil@example.net\r\n\r\n" + body, texts)
    report(name + ", Subject changed", head.replace(b"Subject: ", b"Subject: Re: ", 1) + b"\r\n\r\n" + body, texts)
    report(name + ", Subject folded", head.replace(b"Subject: ", b"Subject:\r\n\t ", 1) + b"\r\n\r\n" + body, texts)
    report(name + ", name in capitals", head.replace(b"Subject: ", b"SUBJECT: ", 1) + b"\r\n\r\n" + body, texts)
    report(name + ", no key", message, {})
    report(name + ", revoked", message, {key: b"v=DKIM1; p=" for key in texts})
    report(name + ", bad version", message, {key: data("badversion.txt") for key in texts})
    report(name + ", bad k", message, {key: data("badk.txt") for key in texts})


message = crlf(data("test.message"))
other = crlf(data("rfc6376.msg"))
where = {"test._domainkey.example.com": TEST}
football = {
    "test._domainkey.football.example.com": TEST,
    "brisbane._domainkey.football.example.com": ED25519,
}
ways = [(head, body) for head in (b"simple", b"relaxed") for body in (b"simple", b"relaxed")]
for head, body in ways:
    way = (head + b"/" + body).decode()
    args = {"canonicalize": (head, body)}
    sig = dkim.sign(message, b"test", b"example.com", data("test.private"), **args)
    spoilt("rsa " + way, sig + message, where)
    sig = dkim.sign(message, b"test", b"example.com", data("test.private"), length=True, **args)
    spoilt("rsa with l= " + way, sig + message, where)
    sig = dkim.sign(
        message, b"test", b"example.com", data("test.private"), include_headers=(b"from",), identity=b"a@sub.example.com", **args
    )
    spoilt("rsa over From alone " + way, sig + message, where)
    sig = dkim.sign(
        other, b"brisbane", b"football.example.com", data("rfc8032_7_1.key"), signature_algorithm=b"ed25519-sha256", **args
    )
    spoilt("ed25519 " + way, sig + other, football)
    sig = dkim.sign(message, b"test", b"example.com", data("test.private"), signature_algorithm=b"rsa-sha1", **args)
    spoilt("rsa-sha1 " + way, sig + message, where)

report("RFC 8463's message", data("rfc6376.signed.msg"), football)
report("RFC 8463's message, RSA alone", data("rfc6376.signed.rsa.msg"), football)
report("Windows-1258", data("rfc6376.w1258.msg"), football)
report("ed25519test", data("ed25519test.msg"), {"brisbane._domainkey.football.example.com": ED25519})
report("bad domain", data("test.message.baddomain"), {"test._domainkey.legitimate.com(.attacker.com": TEST})
report("degenerate folding", data("test2.message"), {
    "20120113._domainkey.gmail.com": b"k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh"
    b"+eBCsSTrqmwIYYvywlbhbqoo2DymndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD07y2"
    b"+07wlNWwIt8svnxgdxGkVbbhzY8i+RQ9DpSVpPbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5OctMEeWUwg8Istjqz8BZeTWb"
    b"f41fbNhte7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598HY+vtSBczUiKERHv1yRbcaQtZFh5wtiRrN04BLUTD21MycBX5jYchHjPY/wIDAQAB"
})
extra = data("message.mbox")
signer = dkim.DKIM(extra)
sig = dkim.sign(extra, b"test", b"example.com", data("test.private"))
report("mbox", sig + extra, where)
