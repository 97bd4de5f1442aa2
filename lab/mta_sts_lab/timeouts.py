"""Every wait of the lab has its name and its length here, with the observation that fixed it.

All values are seconds. A deadline that passes is written to the record under its name; nothing is ever decided by a
deadline alone, except that something stays unproved.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A named length of time. The name is what the record and the messages show."""

    name: str
    seconds: float


#: From the injection of a message to its settled outcome. Postfix with a resolver settles in 0.2 to 0.7 s on two idle
#: cores, 210 at once in 3 s; a sender without a queue view is seen twice only after its own retry time.
SETTLE = Deadline("settle", 60)

#: From the injection to the arrival of a message that nothing stands in the way of, before a run. All mail servers here
#: delivered it within 1 s; one that does not is told what is wrong, and should be told soon.
HONEST_DELIVERY = Deadline("honest-delivery", 20)

#: How much longer such a message is waited for whose attempt goes on, as the queue says. A program that ends at once,
#: and a policy plug-in that does not answer, look like an attempt that never ends.
HONEST_ATTEMPT = Deadline("honest-attempt", 30)

#: Waits of the cases where not even honest mail is delivered: nothing but `inconclusive` can come of them.
NOTHING_ARRIVES = Deadline("nothing-arrives", 4)

#: SETTLE and RECOVER of the probes of an adapter, which are few: Postfix settles them within 8 s. OpenSMTPD takes 11 s
#: over each attempt at a host that refuses connections, and nothing hangs on having seen three of them.
PROBE = Deadline("probe", 30)

#: From the end of an attack to the arrival of what was held. As SETTLE, plus one retry.
RECOVER = Deadline("recover", 60)

#: For how long an adapter check asks for no attempt at a message that waits, to see the target's own rhythm before it
#: looks for the effect of a request: Postfix tries again by itself after 3 s, Exim and sendmail every 2 s.
OWN_RHYTHM = Deadline("own-rhythm", 4)

#: The same for the reference sender, which makes an attempt within 0.05 s of a request.
OWN_RHYTHM_IN_PROCESS = Deadline("own-rhythm-in-process", 1)

#: How much longer a target is waited for whose own queue says that it is at work on the message. Courier takes 125 s
#: for one attempt where a name server does not answer (it asks again after 5, 25 and 95 s, whatever resolv.conf says),
#: and nothing is seen of it in the last 95 of them.
ATTEMPT = Deadline("attempt", 150)

#: The longest retry time of a target that a run waits for. RFC 5321, section 4.5.4.1 asks for at least 30 minutes
#: between attempts; a target that claims more proves nothing in one run.
LONGEST_RETRY = Deadline("longest-retry", 1800)

#: A sender may fetch the policy in the background (RFC 8461, section 5.1). Those that do were seen within 1 s; a sender
#: that has not asked by then is treated as one that never asks, and the record shows it.
LEARN_POLICY = Deadline("learn-policy", 8)

#: From a target's look for the policy until the domain publishes another one. The policy daemon of Postfix keeps the
#: second of its last look, and stores no newer policy in the same second (`sqlite_cache.py`: `and ts < ?`): two of 869
#: cases came out otherwise when their steps were half a second apart. Domains do not change their policies that soon.
NEXT_POLICY = Deadline("next-policy", 1.5)

#: From the delivery of a message until a sender that claims no MTA-STS, and asked for no policy before, is taken at its
#: word: it asks for none. Those that ask after a delivery were seen to within 1 s.
POLICY_QUESTION = Deadline("policy-question", 2)

#: From the answer of the policy host until a target that fetches in background has stored the policy. It is a write to
#: a cache; fairness to such senders costs a second, and only them.
POLICY_STORED = Deadline("policy-stored", 1)

#: The same for the reference sender, which fetches before it delivers: only a flawed one is ever waited for.
LEARN_POLICY_IN_PROCESS = Deadline("learn-policy-in-process", 0.5)

#: From the MX's reply to the final dot until the target has let go of the message. Milliseconds, except for a sender
#: that shows no queue and keeps its connections open for more mail.
HAND_OVER = Deadline("hand-over", 10)

#: From a queue that no longer holds a message to the bounce that says so. Postfix sent its bounces within 0.2 s.
BOUNCE = Deadline("bounce", 5)

#: One SMTP dialogue of the lab with the target while it injects a message. Postfix took 0.3 s for 63 of them.
INJECT = Deadline("inject", 30)

#: One session of the attacker, from accept to close. Longer than any SMTP client was seen to wait for an answer that
#: the attacker withholds in the stories here (30 s), shorter than a run.
ATTACK_SESSION = Deadline("attack-session", 45)

#: One call of a target's contract. A restart of Postfix and its resolver took 3 s.
CONTRACT_CALL = Deadline("contract-call", 60)

#: A call for reports: a reporter works them off one by one. Postfix's took 15 s for 129 domains on two cores, and 35 s
#: for 150 under a load of six.
SEND_REPORTS = Deadline("send-reports", 180)

#: From the start of a target's container to a contract that answers and a port that takes mail. Seen: 3 s.
TARGET_READY = Deadline("target-ready", 60)

#: From the first greeting of a mail server that may have no hooks to an answer of its hooks. Seen: 3 s.
HOOKS_READY = Deadline("hooks-ready", 15)

#: A container that somebody else is removing. Seen: less than a second, on a busy machine as well.
CONTAINER_GONE = Deadline("container-gone", 30)

#: Building the images, from nothing. Seen: 47 s for Postfix; package mirrors can be slow.
BUILD_IMAGE = Deadline("build-image", 1800)

#: One look at a target's queue, or one request to try it all again. Postfix with 200 messages took 0.1 s; a container
#: that was killed leaves connections on which nothing ever comes, and everybody waits for that to be noticed.
QUEUE_LOOK = Deadline("queue-look", 15)

#: The longest pause between two looks at a target's queue over the network. A call costs the target about 15 ms of
#: processor time.
QUEUE_POLL = Deadline("queue-poll", 0.3)

#: The shortest such pause, for a target that answers at once. A message that is moved within the queue while it is
#: listed is missing from the list; that was never seen to take over some milliseconds.
QUEUE_POLL_SHORTEST = Deadline("queue-poll-shortest", 0.1)

#: The same for a target in this process, where a look costs microseconds.
QUEUE_POLL_IN_PROCESS = Deadline("queue-poll-in-process", 0.02)

#: From one request to try everything again to the next, for a target that shows no queue: each request starts an
#: attempt at all that is held.
FLUSH_PAUSE = Deadline("flush-pause", 0.5)

#: The same while the queue shows an attempt at a watched message. A sender that tries again whatever was flushed in
#: mid-attempt never lets go of a message when a request comes sooner than its attempts end; on a loaded machine these
#: were seen to take over 0.5 s each. One message on which an attempt hangs must not hold up all other cases.
FLUSH_WHILE_ACTIVE = Deadline("flush-while-active", 5)

#: A stalled policy host (`block_policy_host` with `how = "stall"`) is released when the step ends; this is the longest
#: that the lab itself holds such a connection open.
STALL = Deadline("stall", 40)

#: How long a host of the lab waits for the next command, request, query or handshake message before it hangs up.
#: Postfix keeps an idle connection for at most 2 s; RFC 5321, section 4.5.3.2.7 asks for 300 s, more than a run may
#: last.
SESSION_IDLE = Deadline("session-idle", 120)

#: From the head of a posted report to the last octet of its body. The largest that is kept, 1 MiB, took 11 ms; curl,
#: which asks first whether to go on, waits 1 s for the answer.
REPORT_BODY = Deadline("report-body", 30)

#: From the lab's close_notify to the other side's. Clients that answer at all were seen to within milliseconds.
TLS_CLOSE = Deadline("tls-close", 5)

#: For an answer to the lab's own question whether one of its hosts still takes connections.
WITNESS = Deadline("witness", 5)
