"""Sends POSTs over keep-alive connections, and prints a line for each: its name,
and after a tab why it was lost.

    python3 client.py http.client|requests|urllib3|httpx URL WORKERS THINK_MS REQUESTS_EACH ANSWER

Without a number of requests (0) it goes on until its standard input is closed.
"""

import http.client
import sys
import threading
import time
import urllib.parse

kind, url, workers, think, each, expected = sys.argv[1:]
workers, think, each = int(workers), float(think) / 1000, int(each)
body = "politeclose " * 20
stopping = threading.Event()
printing = threading.Lock()


def by_http_client():
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.netloc, timeout=30)

    def exchange(name):
        try:
            connection.request("POST", target.path or "/", body, {"X-Request-Id": name})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except Exception:
            connection.close()  # the next request opens another one
            raise

    return exchange


def by_requests():
    import requests

    session = requests.Session()

    def exchange(name):
        response = session.post(url, data=body, headers={"X-Request-Id": name}, timeout=30)
        return response.status_code, response.text

    return exchange


def by_urllib3():
    import urllib3

    pool = urllib3.PoolManager()

    def exchange(name):
        response = pool.request("POST", url, body=body, headers={"X-Request-Id": name}, timeout=30)
        return response.status, response.data.decode()

    return exchange


def by_httpx(http2=False):
    import httpx

    def connect():
        return httpx.Client(http2=http2, verify=False, timeout=30)

    client = connect()

    def exchange(name):
        nonlocal client
        try:
            response = client.post(url, content=body, headers={"X-Request-Id": name})
            return response.status_code, response.text
        except Exception:
            client.close()  # over HTTP/2 it goes on with a connection that has ended
            client = connect()
            raise

    return exchange


def innermost(error):
    causes = [cause for cause in error.args if isinstance(cause, Exception)]
    return innermost(causes[-1]) if causes else f"{type(error).__name__}: {error}"


def work(worker):
    exchange = kinds[kind]()
    n = 0
    while not stopping.is_set() and (each == 0 or n < each):
        n += 1
        name = f"{worker + 1}-{n}"
        try:
            status, answer = exchange(name)
            cause = f"status {status}" if status != 200 else "" if answer == expected else "another answer"
        except Exception as error:
            cause = innermost(error)
        with printing:
            print(f"{name}\t{cause}" if cause else name, flush=True)
        time.sleep(think)


kinds = {
    "http.client": by_http_client,
    "requests": by_requests,
    "urllib3": by_urllib3,
    "httpx": by_httpx,
    "httpx-h2": lambda: by_httpx(http2=True),
}
threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
for thread in threads:
    thread.start()
if each == 0:
    sys.stdin.read()
    stopping.set()
for thread in threads:
    thread.join()
