"""A daemon of the tests' own: speaks the local protocol over canned outcomes, and remembers what it was asked."""

import json
import os
import shutil
import socket
import tempfile
import threading


class FakeDaemon:
    """`outcomes` maps ids to the members of an outcome after `request_id` and `endpoint`, as JSON text; an id that is
    not there has not ended. `refuse` maps methods to errors; `answers` maps methods to whole results."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tinkex-cli-")
        self.path = os.path.join(self.folder, "sock")
        self.calls = []
        self.outcomes = {}
        self.registered = set()
        self.refuse = {}
        self.refuse_ids = {}
        self.answers = {}
        self.futures = []
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.waits = []
        self.listener = None
        self.connections = []
        self.listen()

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def die(self):
        """Hangs up on everybody and stops listening."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                connection.close()
            self.connections.clear()
            self.waits.clear()
        os.unlink(self.path)

    def stop(self):
        if os.path.exists(self.path):
            self.die()
        shutil.rmtree(self.folder)

    def serve(self, connection):
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    self.answer(connection, json.loads(line))
        except (OSError, ValueError):
            pass

    def send(self, connection, text):
        try:
            connection.sendall(text.encode() + b"\n")
        except OSError:
            pass

    def answer(self, connection, call):
        method, params = call["method"], call.get("params", {})
        with self.lock:
            self.calls.append((method, params))
            self.changed.notify_all()
            if method in self.refuse:
                name, message = self.refuse[method]
                error = {"code": -32000, "message": message, "data": {"name": name}}
                self.send(connection, json.dumps({"id": call["id"], "error": error}))
                return
            if method == "await":
                self.start_await(connection, call["id"], params)
                return
            if method == "abandon":
                self.waits = [wait for wait in self.waits if wait["call"] != params["call"]]
                return
            result = self.answers.get(method) or getattr(self, "do_" + method)(params)
            if not isinstance(result, str):
                result = json.dumps(result)
            self.send(connection, '{"id":%d,"result":%s}' % (call["id"], result))

    def outcome(self, request_id):
        if request_id not in self.registered:
            return ('"ok":false,"error":{"type":"not_registered","category":null,"message":"not registered",'
                    '"status":null,"data":{"reason":"never"}}')
        return self.outcomes.get(request_id)

    def outcome_text(self, request_id):
        return '"request_id":%s,"endpoint":"default",%s' % (json.dumps(request_id), self.outcome(request_id))

    def start_await(self, connection, number, params):
        wait = {"connection": connection, "call": number, "ids": params.get("request_ids", []), "sent": set(),
                "timeout": params.get("await_timeout_ms")}
        self.waits.append(wait)
        self.push(wait)

    def push(self, wait):
        for index, request_id in enumerate(wait["ids"]):
            if index in wait["sent"] or (self.outcome(request_id) is None and wait["timeout"] is None):
                continue
            text = self.outcome_text(request_id)
            if self.outcome(request_id) is None:
                text = ('"request_id":%s,"endpoint":"default","ok":false,"error":{"type":"api_timeout","category":null,'
                        '"message":"not in time","status":null,"data":{"reason":"await_timeout"}}'
                        % json.dumps(request_id))
            wait["sent"].add(index)
            self.send(wait["connection"], '{"method":"outcome","params":{"call":%d,"index":%d,%s}}'
                      % (wait["call"], index, text))
        if len(wait["sent"]) == len(wait["ids"]) and wait in self.waits:
            self.waits.remove(wait)
            self.send(wait["connection"], '{"id":%d,"result":{"ended":%d,"ok":0,"failed":0}}'
                      % (wait["call"], len(wait["ids"])))

    def end(self, request_id, outcome):
        """The future ends: whoever waits is told."""
        with self.lock:
            self.outcomes[request_id] = outcome
            for wait in list(self.waits):
                self.push(wait)

    def wait_for_call(self, method, count=1, limit=30):
        """Until so many calls of this method came; returns the parameters of the last one."""
        with self.lock:
            found = lambda: len([c for c in self.calls if c[0] == method]) >= count
            if not self.changed.wait_for(found, limit):
                raise AssertionError("no %s in %s" % (method, self.calls))
            return [c[1] for c in self.calls if c[0] == method][-1]

    def params(self, method):
        with self.lock:
            return [call[1] for call in self.calls if call[0] == method]

    def do_hello(self, params):
        return {"protocol": 1, "server": "fake/1", "instance": "i", "uid": os.getuid(), "features": [], "limits": {}}

    def do_ping(self, params):
        return {}

    def do_register(self, params):
        items = []
        for request_id in params["request_ids"]:
            if request_id in self.refuse_ids:
                name, message = self.refuse_ids[request_id]
                items.append({"request_id": request_id,
                              "error": {"code": -32002, "message": message, "data": {"name": name}}})
                continue
            new = request_id not in self.registered
            self.registered.add(request_id)
            items.append({"request_id": request_id, "endpoint": "default", "state": "scheduled", "new": new})
        return {"registrations": items}

    def do_collect(self, params):
        ids = params.get("request_ids")
        if ids is None:
            page = sorted(i for i in self.outcomes if i > params.get("after", ""))
            limit = params.get("limit", 100)
            ids, more = page[:limit], page[limit:]
        else:
            more = []
        texts = []
        for request_id in ids:
            if self.outcome(request_id) is None:
                texts.append('{"request_id":"%s","endpoint":"default","ok":null,"state":"polling"}' % request_id)
            else:
                texts.append("{%s}" % self.outcome_text(request_id))
        cursor = json.dumps(ids[-1]) if more else "null"
        return '{"results":[%s],"next":%s}' % (",".join(texts), cursor)

    def affect(self, params, word):
        missing = [i for i in params["request_ids"] if i not in self.registered]
        return {word: len(params["request_ids"]) - len(missing),
                "not_registered": [{"request_id": i, "endpoint": "default"} for i in missing]}

    def do_ack(self, params):
        return self.affect(params, "acked")

    def do_cancel(self, params):
        return self.affect(params, "cancelled")

    def do_status(self, params):
        return {"request_id": params["request_id"], "endpoint": "default", "state": "scheduled", "ok": None,
                "queue_state": "paused_rate_limit", "queue_state_reason": "busy\x1b[31m hour", "age_ms": 192000}

    def do_list(self, params):
        after = int(params.get("after", 0))
        page = self.futures[after:after + params.get("limit", 100)]
        end = after + len(page)
        return {"futures": page, "next": str(end) if end < len(self.futures) else None}

    def do_endpoints(self, params):
        return {"endpoints": [{"endpoint": "default", "base_url": "https://example.org/x", "profile": "durable",
                               "gate": "closed", "reason": "rate_limited", "retry_in_ms": 4000, "in_flight": 3,
                               "max_in_flight": 1000, "waiting": 12, "connections": 1, "http_version": "2",
                               "last_error": {"type": "api_status", "message": "slow\ndown"}}]}

    def do_stats(self, params):
        return {"server": "fake/1", "instance": "i", "uptime_ms": 192000, "counters": {"polls": {"ok": 3}},
                "gauges": {"peers": 1}}
