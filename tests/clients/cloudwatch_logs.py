"""The functions' logs through CloudWatch Logs' API, read as `aws logs tail` reads them. STEP says which part of the play this is."""

import json
import os
import subprocess
import sys
import time

from common import client, create, equal, refused

lam, logs = client("lambda"), client("logs")
CODE = "export const handler = async (event) => { console.log('said ' + event.text); };"
GROUP = "/aws/lambda/talker"


def say(text):
    return lam.invoke(FunctionName="talker", Payload=json.dumps({"text": text}))["ResponseMetadata"]["RequestId"]


class Tail:
    """What the AWS CLI does to follow: from a time on, page by page, and each event once."""

    def __init__(self, since):
        self.since, self.seen = since, set()

    def more(self):
        fresh, asked = [], dict(logGroupName=GROUP, startTime=self.since, interleaved=True)
        while True:
            page = logs.filter_log_events(**asked)
            for event in page["events"]:
                if event["eventId"] not in self.seen:
                    self.seen.add(event["eventId"])
                    fresh.append(event["message"])
                    self.since = event["timestamp"]
            if "nextToken" not in page:
                return fresh
            asked["nextToken"] = page["nextToken"]

    def until(self, text):
        ends, found = time.monotonic() + 20, []
        while not any(text in line for line in found):
            assert time.monotonic() < ends, f"{text} is not in {found}"
            found += self.more()
            time.sleep(0.05)
        return found


def play():
    began = int(time.time() * 1000) - 1000
    create(lam, "talker", CODE)
    tail = Tail(began)
    refused("ResourceNotFoundException", 400, logs.filter_log_events, logGroupName="/aws/lambda/absent")
    id = say("one")
    lines = tail.until(f"REPORT RequestId: {id}")
    assert [line for line in lines if line.startswith(f"START RequestId: {id} Version: $LATEST")], lines
    assert [line for line in lines if line.endswith("said one")], lines
    second = say("two")
    lines = tail.until(f"REPORT RequestId: {second}")
    assert not any("said one" in line for line in lines), lines

    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/t")["logGroups"]
    equal([group["logGroupName"] for group in groups], [GROUP])
    assert groups[0]["storedBytes"] > 0 and abs(groups[0]["creationTime"] - began) < 60_000, groups
    equal(logs.describe_log_groups(logGroupNamePrefix="/aws/other")["logGroups"], [])
    streams = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
    equal([stream["logStreamName"] for stream in streams], ["all"])
    assert streams[0]["lastEventTimestamp"] >= began, streams

    # Patterns, pages, and what was written later than asked for.
    found = logs.filter_log_events(logGroupName=GROUP, filterPattern='"said two"')["events"]
    equal(([event["message"].split("said ")[1] for event in found], found[0]["logStreamName"]), (["two"], "all"))
    equal(logs.filter_log_events(logGroupName=GROUP, filterPattern="said -two -one")["events"], [])
    refused("InvalidParameterException", 400, logs.filter_log_events, logGroupName=GROUP, filterPattern="{ $.a = 1 }")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, PaginationConfig=dict(PageSize=2))
    paged = [event["message"] for page in pages for event in page["events"]]
    equal(paged, [event["message"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]])
    equal(logs.filter_log_events(logGroupName=GROUP, startTime=int(time.time() * 1000) + 60_000)["events"], [])
    equal(logs.filter_log_events(logGroupName=GROUP, endTime=began)["events"], [])

    # One stream's events, from either end; the token leads on.
    stream = dict(logGroupName=GROUP, logStreamName="all")
    first = logs.get_log_events(**stream, startFromHead=True, limit=2)
    equal([event["message"] for event in first["events"]], paged[:2])
    rest = logs.get_log_events(**stream, nextToken=first["nextForwardToken"])
    equal([event["message"] for event in rest["events"]], paged[2:])
    equal(logs.get_log_events(**stream, nextToken=rest["nextForwardToken"])["events"], [])
    equal([event["message"] for event in logs.get_log_events(**stream, limit=1)["events"]], paged[-1:])
    refused("ResourceNotFoundException", 400, logs.get_log_events, logGroupName=GROUP, logStreamName="none")
    assert "PutLogEvents" in refused("UnknownOperationException", 404, logs.put_log_events, **stream, logEvents=[dict(timestamp=1, message="m")])

    # The AWS CLI.
    aws = [os.path.join(os.path.dirname(sys.executable), "aws"), "--profile", "selvedge", "logs"]
    done = subprocess.run([*aws, "filter-log-events", "--log-group-name", GROUP, "--filter-pattern", "said"], capture_output=True, text=True, check=True)
    equal(len(json.loads(done.stdout)["events"]), 2)
    with open(os.path.join(os.environ["PLACE"], "since"), "w") as out:
        out.write(str(began))


def again():
    """After a restart everything is there with its times."""
    with open(os.path.join(os.environ["PLACE"], "since")) as found:
        tail = Tail(int(found.read()))
    lines = tail.more()
    assert [line.split("said ")[1] for line in lines if "said " in line] == ["one", "two"], lines
    say("three")
    assert [line for line in tail.until("said three") if "said two" in line] == []


if __name__ == "__main__":
    {"play": play, "again": again}[os.environ["STEP"]]()
