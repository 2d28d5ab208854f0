"""Answers that mean harm, or are broken, each with what must become of the domain's recipients.

A character answers all questions about its domain, CHARACTER.example, and what is below it. Only
at MAIL is mail taken.
"""
from hostile import dns_wire as dns
from hostile.dns_wire import A, ASKED, CNAME, MX, address, exchanger, name, pointer, record
from hostile.outcome import Characters, bounced, deferred, delivered, waits

MAIL = "127.0.7.1"
MALFORMED = r"MX lookup failed: malformed answer"
# c-ares drops some of these itself.
NOT_OURS = r"MX lookup failed: (timed out|the answer belongs to another question)"

character = Characters()


def honest(q):
    """What a good server says: MX 10 mx.DOMAIN, which has an address."""
    if q.kind == MX and not q.name.startswith("mx."):
        return q.reply(exchanger(b"\2mx" + ASKED))
    if q.kind == A and q.name.startswith("mx."):
        return q.reply(address(ASKED, MAIL))
    return q.reply(soa="example")


def for_mx(make):
    """A character that lies about its MX records only."""
    def answer(q):
        return make(q) if q.kind == MX else honest(q)
    answer.__name__ = make.__name__
    return answer


# --- many, long, without end --------------------------------------------------------------------

def others(count):
    return [exchanger(bytes([4]) + b"%04d" % i + ASKED, 20 + i) for i in range(count)]


@character(delivered())
def a_thousand_exchangers(q):
    """Over TCP, the first by preference last in the packet."""
    if q.kind == MX:
        return q.reply(*others(999), exchanger(b"\2mx" + ASKED, 5))
    return q.reply(address(ASKED, MAIL)) if q.kind == A else honest(q)


@character(delivered())
def three_thousand_exchangers(q):
    """More than are looked at."""
    if q.kind == MX:
        return q.reply(*others(3000))
    return q.reply(address(ASKED, MAIL)) if q.kind == A else honest(q)


@character(deferred("4.4.3", MALFORMED))
def ten_thousand_exchangers_in_the_header(q):
    """Fewer than its header says."""
    if q.kind == MX:
        return q.reply(*others(3000), count=10_000)
    return q.reply(address(ASKED, MAIL)) if q.kind == A else honest(q)


@character(waits(r"connection refused"))
def a_thousand_addresses(q):
    if q.kind == A:
        return q.reply(*[address(ASKED, f"127.0.8.{1 + i % 250}") for i in range(1000)])
    return honest(q)


def long_name(q, octets):
    """`octets` on the wire, below the domain that was asked for."""
    left = octets - (len(q.octets) - 4)
    labels = [b"x" * 63] * (left // 64) + [b"y" * (left % 64 - 1)]
    return name(labels)[:-1] + ASKED


@character(delivered())
def name_of_255_octets(q):
    if q.kind == MX:
        return q.reply(exchanger(long_name(q, 255)))
    return q.reply(address(ASKED, MAIL)) if q.kind == A else honest(q)


@character(deferred("4.4.3", MALFORMED))
@for_mx
def name_of_256_octets(q):
    return q.reply(exchanger(long_name(q, 256)))


@character(deferred("4.4.3", MALFORMED))
@for_mx
def label_of_64_octets(q):
    return q.reply(exchanger(bytes([64]) + b"x" * 64 + ASKED))


def chain(q, links):
    owners = [ASKED] + [name(f"c{i}.{q.name}") for i in range(links)]
    return q.reply(*[record(owner, CNAME, target) for owner, target in zip(owners, owners[1:])],
                   exchanger(name("mx." + q.name), owner=owners[-1]))


@character(delivered())
@for_mx
def ten_cnames(q):
    return chain(q, 10)


@character(deferred("4.4.3", r"MX lookup failed: the CNAME chain does not end"))
@for_mx
def twenty_cnames(q):
    return chain(q, 20)


@character(deferred("4.4.3", r"MX lookup failed: the CNAME chain does not end"))
@for_mx
def cname_loop(q):
    other = name("other." + q.name)
    return q.reply(record(ASKED, CNAME, other), record(other, CNAME, ASKED))


@character(deferred("4.4.3", r"address lookup failed: .*the CNAME chain does not end"))
def exchanger_in_a_cname_loop(q):
    if q.kind == A:
        return q.reply(record(ASKED, CNAME, ASKED))
    return honest(q)


@character(bounced("5.4.4", r"no exchanger has an address"))
def mx_loop(q):
    """Each host is the other's exchanger, and neither has an address."""
    if q.kind == MX and q.name.startswith("b."):
        return q.reply(exchanger(pointer(14)))
    if q.kind == MX:
        return q.reply(exchanger(b"\1b" + ASKED))
    return q.reply(soa="example")


# --- not what was asked -------------------------------------------------------------------------

@character(deferred("4.4.3", r"MX lookup failed"))
@for_mx
def records_of_another_name(q):
    return q.reply(exchanger(name("mx.another.example"), owner=name("another.example")))


@character(deferred("4.4.3", NOT_OURS))
@for_mx
def answer_to_another_question(q):
    other = name("another.example") + b"\0\x0f\0\1"
    return q.reply(exchanger(name("mx.another.example")), question=other)


@character(deferred("4.4.3", NOT_OURS))
@for_mx
def answer_without_question(q):
    return q.id + b"\x81\x80" + bytes(8)


@character(deferred("4.4.3", r"MX lookup failed: timed out"))
@for_mx
def wrong_id(q):
    return bytes([q.id[0] ^ 1, q.id[1]]) + q.reply(exchanger(b"\2mx" + ASKED))[2:]


@character(delivered())
@for_mx
def wrong_ids_before_the_right_one(q):
    """The forger is faster: it guesses ids and points to where nobody listens."""
    good = honest(q)
    forged = q.reply(exchanger(name("mx.forged.example")))
    return [bytes([q.id[0] ^ i, q.id[1]]) + forged[2:] for i in range(1, 50)] + [good]


@character(deferred("4.4.3", NOT_OURS))
@for_mx
def question_sent_back(q):
    return q.id + b"\1\0\0\1" + bytes(6) + q.octets


# --- broken packets -----------------------------------------------------------------------------

@character(deferred("4.4.3", r"MX lookup failed: (timed out|malformed answer)"))
@for_mx
def empty_packet(_):
    return b""


@character(deferred("4.4.3", r"MX lookup failed: (timed out|malformed answer)"))
@for_mx
def half_a_header(q):
    return q.reply()[:7]


@character(deferred("4.4.3", MALFORMED))
@for_mx
def pointer_to_itself(q):
    at = 12 + len(q.octets) + 12 + 2
    return q.reply(exchanger(pointer(at)))


@character(deferred("4.4.3", MALFORMED))
@for_mx
def pointers_to_each_other(q):
    at = 12 + len(q.octets) + 12 + 2
    return q.reply(exchanger(pointer(at + 2) + pointer(at)))


@character(deferred("4.4.3", MALFORMED))
@for_mx
def pointer_out_of_the_packet(q):
    return q.reply(exchanger(pointer(0x3FFF)))


@character(deferred("4.4.3", MALFORMED))
@for_mx
def record_longer_than_the_packet(q):
    return q.reply(exchanger(b"\2mx" + ASKED))[:-3]


@character(deferred("4.4.3", MALFORMED))
@for_mx
def octets_behind_the_exchanger(q):
    return q.reply(exchanger(b"\2mx" + ASKED + b"junk"))


@character(deferred("4.4.3", MALFORMED))
@for_mx
def counts_of_65535(q):
    return q.reply(count=65535)


@character(deferred("4.4.3", r"address lookup failed: .*malformed answer"))
def address_of_three_octets(q):
    if q.kind == A:
        return q.reply(record(ASKED, A, b"\x7f\0\7"))
    return honest(q)


@character(delivered())
def exchanger_with_control_octets(q):
    if q.kind == MX:
        return q.reply(exchanger(bytes([16]) + b"\0\r\n RCPT <\"'>\xff\x1b;" + ASKED))
    if q.kind == A:
        return q.reply(address(ASKED, MAIL))
    return honest(q)


@character(delivered())
def many_long_names_of_8_bit_octets(q):
    """64 names that fill 1,000 octets each when they are escaped."""
    if q.kind == MX:
        hosts = [[bytes([128 + i]) * 63, b"\xff" * 63, b"\xfe" * 63, b"\x80" * 15]
                 for i in range(64)]
        return q.reply(*[exchanger(name(host)[:-1] + ASKED, i) for i, host in enumerate(hosts)])
    if q.kind == A:
        return q.reply(address(ASKED, MAIL))
    return honest(q)


# --- times, sizes, codes ------------------------------------------------------------------------

def with_ttl(q, ttl):
    if q.kind == MX:
        return q.reply(exchanger(b"\2mx" + ASKED, ttl=ttl))
    return q.reply(address(ASKED, MAIL, ttl))


@character(delivered())
def ttl_0(q):
    return with_ttl(q, 0)


@character(delivered())
def ttl_of_2_to_the_31(q):
    return with_ttl(q, 1 << 31)


@character(delivered())
def ttl_of_68_years(q):
    return with_ttl(q, (1 << 31) - 1)


@character(deferred("4.4.3", r"MX lookup failed: the answer was truncated"))
@for_mx
def truncated_over_tcp_too(q):
    return q.reply(flags=dns.TRUNCATED)


@character(deferred("4.4.3", r"MX lookup failed: timed out"))
def silence(_):
    return None


@character(deferred("4.4.3", r"MX lookup failed: the server answered FORMERR"))
def formerr(q):
    return q.reply(rcode=dns.FORMERR)


@character(deferred("4.4.3", r"MX lookup failed: the server answered SERVFAIL"))
def servfail(q):
    return q.reply(rcode=dns.SERVFAIL)


@character(deferred("4.4.3", r"MX lookup failed: the server answered REFUSED"))
def refused(q):
    return q.reply(rcode=dns.REFUSED)


@character(deferred("4.4.3", r"MX lookup failed: the server answered NOTIMP"))
def notimp(q):
    return q.reply(rcode=dns.NOTIMP)


@character(deferred("4.4.3", r"MX lookup failed: the server answered RCODE15"))
def rcode_15(q):
    return q.reply(rcode=15)


@character(deferred("4.4.3", r"MX lookup failed: the server answered NXDOMAIN with records"))
@for_mx
def nxdomain_with_records(q):
    return q.reply(exchanger(b"\2mx" + ASKED), rcode=dns.NXDOMAIN)


@character(deferred("4.4.4", r"no exchanger has an address that may be used"))
def address_in_a_private_network(q):
    return q.reply(address(ASKED, "10.0.0.1")) if q.kind == A else honest(q)
