"""What tests of the ways to receivers share: configurations, and what must become of recipients."""
import collections
import json
import re

from hostile.outcome import Outcome  # pylint: disable=unused-import

EVENTS = {"delivered": "Delivery", "deferred": "TransientFailure", "bounced": "Bounce"}
SECONDS = 25.0


def configure(scene, servers=(), dns="", smtp="", sources=(), networks=("127.0.0.0/8",), rules="",
              routes=()):
    """As Scene.configure(), for tests of DNS; nothing is tried twice within the test."""
    extra = ""
    if sources:
        listed = ", ".join(f'"{address}"' for address in sources)
        extra += (f'[[source]]\nname = "s1"\naddress = [{listed}]\n'
                  '[[pool]]\nname = "default"\nsources = ["s1"]\n')
    if routes:
        extra += "[dns.route]\n" + "".join(f'"{suffix}" = ["{server}"]\n'
                                           for suffix, server in routes)
    shaping = scene.directory / "shaping.toml"
    # A site whose exchangers are all refused is not tried again within the test either.
    shaping.write_text(rules or '["default"]\nconsecutive_connection_failures_before_delay = 1\n')
    extra += f'[shaping]\nfiles = ["{shaping}"]\n'
    scene.configure(extra=extra, smtp=smtp, retry='retry_interval = "10m"')
    text = scene.config_file.read_text()
    if servers:
        listed = ", ".join(f'"{server}"' for server in servers)
        text = re.sub(r"^servers = \[.*\]$", f"servers = [{listed}]", text, flags=re.MULTILINE)
    listed = ", ".join(f'"{network}"' for network in networks)
    text = re.sub(r"^allowed_networks = .*$", f"allowed_networks = [{listed}]", text,
                  flags=re.MULTILINE)
    scene.config_file.write_text(text.replace("[dns]\n", "[dns]\n" + dns))


def resolve(scene, domain, *options):
    """What `sluice resolve` says of it."""
    done = scene.run("resolve", domain, "--json", "--config", scene.config_file, *options)
    if done.returncode not in (0, 1):
        raise AssertionError(done.stderr.decode())
    return json.loads(done.stdout)


def states(scene, job="news"):
    return {row["recipient"]: row["state"] for row in scene.report(job)}


def report_of(scene, address, job="news"):
    [row] = [row for row in scene.report(job) if row["recipient"] == address]
    return row


def events(scene):
    found = collections.defaultdict(list)
    for line in scene.run("log", "--config", scene.config_file, check=0).stdout.splitlines():
        event = json.loads(line)
        found[event["recipient"]].append(event)
    return found


def submit(scene, recipients, job="news", rows=None):
    scene.submit(scene.write_job(job, rows=rows or [f"{address},Name" for address in recipients]))
    scene.sender.wait_for_line(f"job {job}-.* taken")


def settle(scene, wanted, job="news", seconds=SECONDS):
    """Waits until recipients are in the states wanted of them; says which are not."""
    def differing():
        found = states(scene, job)
        return {address: found.get(address) for address, state in wanted.items()
                if found.get(address) != state}
    try:
        scene.wait_for(lambda: not differing(), "states", seconds)
    except AssertionError:
        left = {address: (state, wanted[address]) for address, state in differing().items()}
        if left:
            raise AssertionError(f"not as wanted (is, should be): {left}\n"
                                 + scene.sender.text()) from None


def check(test, scene, outcomes, job="news", seconds=SECONDS):
    """Waits for the outcomes {recipient: Outcome}, and asserts each by report and events."""
    problem = None
    try:
        settle(scene, {a: outcome.state for a, outcome in outcomes.items()}, job, seconds)
    except AssertionError as error:
        problem = error
    test.assertEqual(scene.sender.stop(), 0, scene.sender.text())
    report = {row["recipient"]: row for row in scene.report(job)}
    found = events(scene)
    for address, outcome in outcomes.items():
        with test.subTest(address):
            row = report[address]
            test.assertEqual(row["state"], outcome.state, row)
            if outcome.state == "waiting":
                test.assertEqual(found[address], [])
                continue
            [event] = found[address]
            test.assertEqual(event["type"], EVENTS[outcome.state])
            if outcome.state == "delivered":
                continue
            code = event["response"]["enhanced_code"]
            test.assertEqual("{class}.{subject}.{detail}".format(**code), outcome.enhanced, event)
            test.assertEqual(row["enhanced"], outcome.enhanced)
            test.assertRegex(event["response"]["content"], outcome.says)
            test.assertNotIn("peer_address", event, "nobody was connected to")
    if problem:
        raise problem
    return found
