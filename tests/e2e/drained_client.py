"""A socket that a stopping node must close in order.

Goal: a drain sends clients away with 1012, which tells them to come back at once.

Method: scripts/image starts it with the URL of an echo route, waits for `open`, and stops the node.
"""

import asyncio
import sys

import websockets


async def main(url):
    async with websockets.connect(url) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        print("open", flush=True)
        try:
            async with asyncio.timeout(30):
                await socket.recv()
        except websockets.ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            print("closed", code)
            return 0 if code == 1012 else 1
    return 1


sys.exit(asyncio.run(main(sys.argv[1])))
