"""What must become of the recipients of a hostile peer, and what the record must say of it."""
import collections

# state: of every recipient; enhanced, says, command: of its event and report line (says: a regular
# expression); maybe: maybe_delivered. Of a site that takes no mail at all the rows wait untouched:
# `says` is then in the one log line that names the site.
Outcome = collections.namedtuple("Outcome", "state enhanced says command maybe")


def waits(says):
    return Outcome("waiting", "", says, "", False)


def deferred(enhanced, says, command="", maybe=False):
    return Outcome("deferred", enhanced, says, command, maybe)


def bounced(enhanced, says, command=""):
    return Outcome("bounced", enhanced, says, command, False)


def delivered(says="^taken$"):
    return Outcome("delivered", "", says, ".", False)


class Characters(dict):
    """Name -> (behaviour, outcome); a name is a domain's label."""

    def __call__(self, outcome):
        def add(behaviour):
            self[behaviour.__name__.replace("_", "-")] = (behaviour, outcome)
            return behaviour
        return add
