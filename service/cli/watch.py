"""The verb watch: live tokens and their remaining life, and the events as they come."""

import argparse
import asyncio
import signal
import sys
import time
from contextlib import aclosing, suppress

from service.cli.board import Board
from service.cli.options import Verbs, add_filters, add_remote
from service.cli.out import as_json, say, say_json
from service.cli.screen import Screen
from service.client import Client, Unavailable

FRAME_S = 0.125  # eight frames a second: bars run smoothly, and a terminal over a slow line keeps up
PLAIN_S = 1.0  # a frame when there is no terminal
LOOK_S = 0.5  # between two looks at the tokens; in between the bars run by our clock
PATIENCE_MS = 1_000  # an outage is shown so soon; the next look is the next try
ROWS = 200  # tokens asked for: more than a terminal has lines
PLAIN = 120, 40  # columns and lines where there is no terminal
ENDING = set(b"qQ\x04")  # q, or Ctrl-D


def add(verbs: Verbs) -> None:
    parser = add_remote(
        verbs, "watch", watch, "watch live tokens run down, be renewed and end",
        "Bars refill when a token is used. q or Ctrl-C ends it. Without a terminal, or with --json, it prints a frame "
        "a second.",
        "tokenlife watch --owner ann",
    )  # fmt: skip
    add_filters(parser)
    parser.set_defaults(timeout=PATIENCE_MS)
    parser.add_argument("--frames", type=int, help="end after so many frames")


async def watch(args: argparse.Namespace, client: Client) -> None:
    shown = [word for word in (args.tenant, args.type, args.owner) if word]
    board = Board(" ".join(shown) or "all tokens")
    jobs = look(args, client, board), follow(args, client, board), draw(args, board)
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def look(args: argparse.Namespace, client: Client, board: Board) -> None:
    """Sees the newest tokens again and again; an outage leaves the last ones standing."""
    which = {"owner": args.owner, "type": args.type, "tenant": args.tenant}
    while True:
        try:
            page = await client.page(state="active", order="desc", limit=ROWS, **which)
            counts = await client.count(state="active", **which)
        except Unavailable as error:
            board.trouble = f"({error.reason or error.message})"
        else:
            board.trouble = ""
            board.see(page.items, counts.total, time.monotonic())
        await asyncio.sleep(LOOK_S)


async def follow(args: argparse.Namespace, client: Client, board: Board) -> None:
    async with aclosing(client.events(owner=args.owner, tenant=args.tenant)) as events:
        async for event in events:
            if args.type in (None, event.data.type):
                board.happened(event)


async def draw(args: argparse.Namespace, board: Board) -> None:
    frames = args.frames or sys.maxsize
    if sys.stdout.isatty() and not args.json:
        await draw_on_terminal(board, frames)
        return
    for _ in range(frames):
        await asyncio.sleep(PLAIN_S)
        draw_plainly(board, as_data=args.json)


async def draw_on_terminal(board: Board, frames: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    with Screen() as screen:
        loop.add_reader(sys.stdin, lambda: stopping.set() if set(screen.keys()) & ENDING else None)
        try:
            while frames and not stopping.is_set():
                columns, lines = screen.size
                screen.draw(board.frame(columns, lines, time.monotonic(), color=True))
                frames -= 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), FRAME_S)
        finally:
            loop.remove_reader(sys.stdin)


def draw_plainly(board: Board, *, as_data: bool) -> None:
    if as_data:
        tokens = [as_json(row.view) for row in board.rows.values()]
        say_json({"live": board.live, "trouble": board.trouble, "tokens": tokens})
        return
    for line in board.frame(*PLAIN, time.monotonic(), color=False):
        say(line.rstrip())
    say("")
    sys.stdout.flush()
