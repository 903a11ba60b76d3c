"""Sends POSTs over libsoup's keep-alive connections, and prints a line for each:
its name, and after a tab why it was lost.

    python3 client_soup.py URL WORKERS THINK_MS REQUESTS_EACH ANSWER

Over TLS libsoup speaks HTTP/2. Without a number of requests (0) it goes on until
its standard input is closed.
"""

import sys

import gi

gi.require_version("Soup", "3.0")
from gi.repository import GLib, Soup  # noqa: E402, the version has to be named first

url, workers, think, each, expected = sys.argv[1:]
workers, think, each = int(workers), float(think), int(each)
body = GLib.Bytes.new(b"politeclose " * 20)
session = Soup.Session(timeout=30)
loop = GLib.MainLoop()
stopping = False
working = workers


def send(worker, n):
    global working
    if stopping or (each and n > each):
        working -= 1
        if working == 0:
            loop.quit()
        return
    name = f"{worker + 1}-{n}"
    message = Soup.Message.new("POST", url)
    # By itself libsoup opens a connection for each POST. With this flag a message is
    # sent on a kept one, as a GET is.
    message.add_flags(Soup.MessageFlags.IDEMPOTENT)
    message.props.request_headers.append("X-Request-Id", name)
    message.set_request_body_from_bytes("text/plain", body)
    message.connect("accept-certificate", lambda *_: True)  # nothing but loopback is asked

    def answered(session, result):
        try:
            answer = session.send_and_read_finish(result).get_data().decode()
            status = int(message.props.status_code)
            cause = f"status {status}" if status != 200 else "" if answer == expected else "another answer"
        except GLib.Error as error:
            cause = f"{error.domain}: {error.message}"
        print(f"{name}\t{cause}" if cause else name, flush=True)
        GLib.timeout_add(max(1, round(think)), lambda: send(worker, n + 1))

    session.send_and_read_async(message, GLib.PRIORITY_DEFAULT, None, answered)


def stop(*_):
    global stopping
    stopping = True
    return False


if each == 0:
    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, stop)
for worker in range(workers):
    send(worker, 1)
loop.run()
