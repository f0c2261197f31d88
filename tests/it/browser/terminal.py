"""Runs a command in a terminal and writes its screen, as it is after so many seconds, as a page.

terminal.py SECONDS COLUMNS LINES PAGE COMMAND…
"""

import fcntl
import html
import os
import pty
import select
import struct
import sys
import termios
import time

import pyte

COLOURS = {"default": "#e4e8ec", "green": "#5fd38d", "red": "#ff7b72", "brown": "#e3b341", "blue": "#7cb3ff", "cyan": "#6fd6d6"}


def main():
    seconds, columns, lines, page, *command = sys.argv[1:]
    screen = pyte.Screen(int(columns), int(lines))
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", int(lines), int(columns), 0, 0))
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            continue
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        stream.feed(data)
    with open(page, "w", encoding="utf-8") as out:
        out.write(
            "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>terminal</title><style>"
            "body{margin:0;background:#14171b;color:#e4e8ec}pre{margin:1rem;font:15px/1.35 'DejaVu Sans Mono',monospace}"
            "</style><pre>"
        )
        for y in range(int(lines)):
            for x in range(int(columns)):
                cell = screen.buffer[y][x]
                colour = COLOURS.get(cell.fg, COLOURS["default"])
                out.write(f'<span style="color:{colour}">{html.escape(cell.data)}</span>')
            out.write("\n")
        out.write("</pre></html>")
    # It goes on to its end.
    while True:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:
            break
    os.waitpid(child, 0)


main()
