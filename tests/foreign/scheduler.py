#!/usr/bin/env python3
"""A scheduler without an SDK: JSON over HTTP with Python's standard library.

Usage: scheduler.py HOST:PORT

Subscribes, runs `echo hello` on the first offer, acknowledges every update,
and tears the framework down when the task has finished.
"""
import http.client
import json
import sys

PATH = '/api/v1/scheduler'
HEADERS = {'Content-Type': 'application/json', 'Accept': 'application/json'}


def events(response):
    """The records of a RecordIO stream."""
    while True:
        length = b''
        while not length.endswith(b'\n'):
            byte = response.read(1)
            if not byte:
                return
            length += byte
        yield json.loads(response.read(int(length)))


def main(master):
    info = {'user': 'root', 'name': 'foreign', 'roles': ['*'], 'capabilities': [{'type': 'MULTI_ROLE'}]}
    stream = http.client.HTTPConnection(master, timeout=60)
    call = {'type': 'SUBSCRIBE', 'subscribe': {'framework_info': info}}
    stream.request('POST', PATH, json.dumps(call), HEADERS)
    response = stream.getresponse()
    assert response.status == 200, response.read()
    stream_id, framework_id, launched = response.getheader('Mesos-Stream-Id'), None, False

    def send(kind, **body):
        calls = http.client.HTTPConnection(master, timeout=60)
        call = dict({'type': kind, 'framework_id': framework_id}, **({kind.lower(): body} if body else {}))
        calls.request('POST', PATH, json.dumps(call), dict(HEADERS, **{'Mesos-Stream-Id': stream_id}))
        answer = calls.getresponse()
        assert answer.status == 202, (kind, answer.status, answer.read())
        calls.close()

    for event in events(response):
        if event['type'] == 'SUBSCRIBED':
            framework_id = event['subscribed']['framework_id']
        elif event['type'] == 'OFFERS':
            for offer in event['offers']['offers']:
                if launched:
                    send('DECLINE', offer_ids=[offer['id']])
                    continue
                launched = True
                amount = {'cpus': 0.1, 'mem': 32}
                task = {
                    'name': 'hello', 'task_id': {'value': 'hello-1'}, 'agent_id': offer['agent_id'],
                    'resources': [{'name': n, 'type': 'SCALAR', 'scalar': {'value': v}} for n, v in amount.items()],
                    'command': {'value': 'echo hello'},
                }
                launch = {'type': 'LAUNCH', 'launch': {'task_infos': [task]}}
                send('ACCEPT', offer_ids=[offer['id']], operations=[launch])
        elif event['type'] == 'UPDATE':
            status = event['update']['status']
            print(status['state'], flush=True)
            if 'uuid' in status:
                send('ACKNOWLEDGE', agent_id=status['agent_id'], task_id=status['task_id'], uuid=status['uuid'])
            if status['state'] == 'TASK_FINISHED':
                send('TEARDOWN')
                return 0
            if status['state'] not in ('TASK_STAGING', 'TASK_STARTING', 'TASK_RUNNING'):
                return 1
    return 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
