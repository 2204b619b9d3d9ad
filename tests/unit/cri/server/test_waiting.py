"""One thread for the ends of all sessions."""

import os
import threading

from cri.server.waiting import Exits


def test_each_end_is_told_once_and_by_one_thread() -> None:
    exits, told = Exits(), []
    pipes = [os.pipe() for _ in range(50)]
    done = threading.Event()

    def callback(number: int) -> bool:
        told.append((number, threading.get_ident()))
        if len(told) == 49:
            done.set()
        return True

    try:
        for number, (read, _) in enumerate(pipes):
            exits.watch(read, lambda number=number: callback(number))  # type: ignore[misc]
        exits.forget(pipes[0][0])
        for _, write in pipes:
            os.write(write, b"x")
        assert done.wait(5)
        assert sorted(number for number, _ in told) == list(range(1, 50))
        assert len({thread for _, thread in told}) == 1
    finally:
        for pipe in pipes:
            exits.forget(pipe[0])
            for fd in pipe:
                os.close(fd)


def test_a_false_alarm_keeps_watching() -> None:
    exits = Exits()
    read, write = os.pipe()
    answers = [True, False, False]
    done = threading.Event()

    def callback() -> bool:
        if len(answers) == 1:
            done.set()
        return answers.pop()

    try:
        exits.watch(read, callback)
        os.write(write, b"x")
        assert done.wait(5)
        assert not answers
    finally:
        exits.forget(read)
        os.close(read)
        os.close(write)
