"""Uses Marathon through the client library `marathon` (Debian's python3-marathon,
PyPI's marathon), as it is. Says `ok` when everything was as its users expect.

    library.py http://host:port [http://host:port ..]
"""

import collections
import collections.abc
import sys
import threading
import time

# What the library asks of older Pythons.
collections.Iterable = collections.abc.Iterable

import marathon
from marathon import MarathonClient, NotFoundError, MarathonHttpError
from marathon.exceptions import ConflictError
from marathon.models import MarathonApp, MarathonConstraint, MarathonGroup, MarathonHealthCheck
from marathon.models.events import (
    MarathonDeploymentSuccess, MarathonEventStreamAttached, MarathonStatusUpdateEvent)

PATIENCE = 120


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise SystemExit(f"{what}: not in time")


def same(left, right):
    if left != right:
        raise SystemExit(f"{left!r} is not {right!r}")


def raises(kind, act):
    try:
        act()
    except kind as error:
        return error
    raise SystemExit(f"{kind.__name__} is not raised")


client = MarathonClient(sys.argv[1:])
events = []


def listen():
    for event in client.event_stream():
        events.append(event)


threading.Thread(target=listen, daemon=True).start()
until("attached", lambda: any(isinstance(it, MarathonEventStreamAttached) for it in events))

same(client.ping(), b'"pong"')
info = client.get_info()
until("registered", lambda: client.get_info().framework_id)
same(info.name, "marathon")
same(client.get_leader()["leader"], info.leader)
same(info.marathon_config.local_port_min, 10000)
assert client.get_metrics()["version"]


def settled(app_id, instances):
    def look():
        app = client.get_app(app_id, embed_counts=True)
        return app if app.tasks_running == instances and not app.deployments else None
    return until(f"{app_id} with {instances}", look)


# An app, and what may be changed of it.
made = client.create_app("lib/web", MarathonApp(
    cmd="python3 -m http.server $PORT0 || exec sleep 1000", cpus=0.1, mem=32, instances=1,
    env={"A": "b"}, labels={"HAPROXY_GROUP": "external", "tier": "front"},
    constraints=[MarathonConstraint("hostname", "UNIQUE")],
    health_checks=[MarathonHealthCheck(protocol="COMMAND", command="true", interval_seconds=1, delay_seconds=0)],
    backoff_seconds=0, backoff_factor=1.5, max_launch_delay_seconds=30))
same(made.id, "/lib/web")
same(made.instances, 1)
app = settled("lib/web", 1)
same(app.env, {"A": "b"})
same(app.constraints[0].field, "hostname")
same(app.health_checks[0].protocol, "COMMAND")
task = app.tasks[0]
same(task.app_id, "/lib/web")
same(task.state, "TASK_RUNNING")
assert task.started_at and task.staged_at and task.host and task.slave_id
until("healthy", lambda: client.get_app("lib/web", embed_counts=True).tasks_healthy == 1)
result = client.get_app("lib/web").tasks[0].health_check_results[0]
same(result.alive, True)

raises(ConflictError, lambda: client.create_app("lib/web", MarathonApp(cmd="true now")))
error = raises(MarathonHttpError, lambda: client.create_app("lib/bad", MarathonApp(cmd="x y", mem=-1)))
same(error.status_code, 422)
same(error.error_message, "Object is not valid")
same(error.error_details[0]["path"], "/mem")
raises(NotFoundError, lambda: client.get_app("lib/nobody"))

deployed = client.scale_app("lib/web", instances=2)
assert deployed["deploymentId"] and deployed["version"]
settled("lib/web", 2)
same(len(client.list_tasks("lib/web")), 2)
same(len(client.list_tasks()), 2)
endpoints = client.list_endpoints()
same(sorted({it.service_port for it in endpoints}), [10000])
same(len({(it.host, it.task_port) for it in endpoints}), 2)
client.update_app("lib/web", MarathonApp(labels={"tier": "back"}))
settled("lib/web", 2)
versions = client.list_versions("lib/web")
same(len(versions), 3)
same(client.get_version("lib/web", versions[-1]).instances, 1)
client.rollback_app("lib/web", versions[1])
app = settled("lib/web", 2)
same(app.labels["tier"], "front")
client.restart_app("lib/web")
settled("lib/web", 2)

# What finds apps.
same([it.id for it in client.list_apps(label="tier==front")], ["/lib/web"])
same([it.id for it in client.list_apps(app_id="nobody")], [])
listed = client.list_apps(embed_tasks=True, embed_counts=True, embed_deployments=True,
                          embed_readiness=True, embed_last_task_failure=True,
                          embed_failures=True)
same([len(it.tasks) for it in listed], [2])

# Tasks that end, and come back.
gone = client.kill_task("lib/web", client.list_tasks("lib/web")[0].id)
same(gone.app_id, "/lib/web")
until("replaced", lambda: gone.id not in [it.id for it in client.list_tasks("lib/web")])
settled("lib/web", 2)
client.kill_given_tasks([client.list_tasks("lib/web")[0].id], scale=True)
settled("lib/web", 1)
same(len(client.kill_tasks("lib/web")), 1)
settled("lib/web", 1)

# What cannot be placed waits, and may be given up.
client.create_app("lib/large", MarathonApp(cmd="sleep 1000", cpus=10000, mem=32, instances=1))
queued = until("queued", client.list_queue)
same([it.app.id for it in queued], ["/lib/large"])
same(queued[0].count, 1)
same(queued[0].delay.overdue, True)
assert queued[0].processed_offers_summary["rejectSummaryLastOffers"]
client.list_queue(embed_last_unused_offers=True)
client.reset_delay("lib/large")
deployments = client.list_deployments()
same(deployments[0].affected_apps, ["/lib/large"])
same([it.action for it in deployments[0].current_actions], ["ScaleApplication"])
assert client.delete_deployment(deployments[0].id)["deploymentId"]
until("rolled back", lambda: not client.list_deployments())
raises(NotFoundError, lambda: client.get_app("lib/large"))

# Groups.
client.create_group(MarathonGroup(id="/shop", apps=[
    MarathonApp(id="db", cmd="sleep 1000", cpus=0.1, mem=16, instances=1),
    MarathonApp(id="web", cmd="sleep 1000", cpus=0.1, mem=16, instances=1, dependencies=["/shop/db"])]))
until("the group", lambda: not client.list_deployments())
group = client.get_group("shop")
same(group.id, "/shop")
same(sorted(it.id for it in group.apps), ["/shop/db", "/shop/web"])
assert "/shop" in [it.id for it in client.list_groups()]
client.scale_group("shop", 2)
until("scaled", lambda: not client.list_deployments())
same(len(client.list_tasks("shop/web")), 2)
client.delete_group("shop", force=True)
until("no group", lambda: not client.list_deployments())

client.delete_app("lib/web", force=True)
until("no tasks", lambda: not client.list_tasks())
raises(NotFoundError, lambda: client.get_app("lib/web"))


def seen():
    statuses = {it.task_status for it in events if isinstance(it, MarathonStatusUpdateEvent)}
    return {"TASK_RUNNING", "TASK_KILLED"} <= statuses and \
        any(isinstance(it, MarathonDeploymentSuccess) for it in events)


until("events", seen)
print("ok")
