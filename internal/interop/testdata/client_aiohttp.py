"""client.py for aiohttp, whose clients are coroutines.

    python3 client_aiohttp.py URL WORKERS THINK_MS REQUESTS_EACH ANSWER
"""

import asyncio
import sys

import aiohttp

url, workers, think, each, expected = sys.argv[1:]
workers, think, each = int(workers), float(think) / 1000, int(each)
body = "politeclose " * 20


async def work(session, worker, stopping):
    n = 0
    while not stopping.done() and (each == 0 or n < each):
        n += 1
        name = f"{worker + 1}-{n}"
        try:
            async with session.post(url, data=body, headers={"X-Request-Id": name}) as response:
                answer = await response.text()
                cause = f"status {response.status}" if response.status != 200 else "" if answer == expected else "another answer"
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            cause = f"{type(error).__name__}: {error}"
        print(f"{name}\t{cause}" if cause else name, flush=True)
        await asyncio.sleep(think)


async def main():
    loop = asyncio.get_running_loop()
    stopping = loop.create_future()
    if each == 0:
        stopping = loop.run_in_executor(None, sys.stdin.read)
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(work(session, worker, stopping) for worker in range(workers)))


asyncio.run(main())
