"""Messages as GMime reads them: a JSON object a line for each file that standard input names.

A program of its own, for the Python that Debian's bindings are made for. Octets are in base64.
"""
import base64
import json
import re
import sys

import gi

gi.require_version("GMime", "3.0")
from gi.repository import GMime  # noqa: E402  pylint: disable=wrong-import-position


# GMime 3.2.13, that of Debian 12, reads adjacent base64 words as if they were one, and stops at the
# padding of the first: https://github.com/jstedfast/gmime/issues/133. A word of the other encoding
# between them, an empty one, keeps them apart.
PADDED_WORDS = "=?utf-8?B?YQ==?= =?utf-8?B?Yg==?="
APART = rb"\1 =?utf-8?Q??=\2"


def is_stopped_by_padding():
    return GMime.utils_header_decode_text(None, PADDED_WORDS) != "ab"


def kept_apart(octets):
    head, gap, body = octets.partition(b"\r\n\r\n")
    return re.sub(rb"(=\?=)(\s+=\?utf-8\?B\?)", APART, head) + gap + body


def octets_of(wrapper):
    stream = GMime.StreamMem.new()
    wrapper.write_to_stream(stream)
    return bytes(stream.get_byte_array() or b"")


def headers_of(thing):
    headers = thing.get_header_list()
    found = (headers.get_header_at(i) for i in range(headers.get_count()))
    return [[header.get_name(), header.get_value()] for header in found]


def part_of(part):
    """A tree: a multipart has "parts", a leaf its decoded "content"."""
    kind = part.get_content_type()
    found = {"type": kind.get_mime_type(), "headers": headers_of(part)}
    if isinstance(part, GMime.Multipart):
        found["parts"] = [part_of(part.get_part(i)) for i in range(part.get_count())]
        return found
    found["charset"] = kind.get_parameter("charset")
    found["filename"] = part.get_filename()
    found["content_id"] = part.get_content_id()
    disposition = part.get_content_disposition()
    found["disposition"] = disposition.get_disposition() if disposition else None
    content = part.get_content()
    found["content"] = base64.b64encode(octets_of(content) if content else b"").decode()
    return found


def mailboxes(addresses):
    found = (addresses.get_address(i) for i in range(addresses.length()))
    return [[mailbox.get_name(), mailbox.get_addr()] for mailbox in found]


def message_of(octets):
    parser = GMime.Parser.new_with_stream(GMime.StreamMem.new_with_buffer(octets))
    message = parser.construct_message(None)
    return {
        "subject": message.get_subject(),
        "from": mailboxes(message.get_from()),
        "to": mailboxes(message.get_to()),
        "reply_to": mailboxes(message.get_reply_to()),
        "date": int(message.get_date().to_unix()) if message.get_date() else None,
        "message_id": message.get_message_id(),
        "headers": headers_of(message),
        "body": part_of(message.get_mime_part()),
    }


def main():
    GMime.init()
    stopped = is_stopped_by_padding()
    for path in sys.stdin.read().splitlines():
        with open(path, "rb") as file:
            octets = file.read()
        print(json.dumps(message_of(kept_apart(octets) if stopped else octets)))


if __name__ == "__main__":
    main()
