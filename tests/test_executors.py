"""Executors give a kernel every subject once, and results in their order."""

import numpy as np
import pytest

from muat_exp.executors.serial import SerialExecutor


@pytest.fixture(params=["serial", "threads"])
def executor(request, workers):
    return SerialExecutor() if request.param == "serial" else workers


@pytest.mark.parametrize("count", [0, 1, 7, 100, 1000])
def test_every_subject_is_in_one_chunk_and_chunks_keep_their_order(executor, count):
    subjects = np.arange(count) * 3
    chunks = executor.map_chunks(subjects, lambda chunk: chunk)
    assert np.array_equal(np.concatenate([subjects[:0], *chunks]), subjects)


def test_what_a_kernel_raises_is_raised(executor):
    def kernel(chunk):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        executor.map_chunks(np.arange(20), kernel)


def test_a_stream_keeps_the_order_of_its_items(workers):
    assert list(workers.stream(lambda item: item * 2, range(50))) == list(range(0, 100, 2))
