"""The batch sampler draws what a model that reads each answer alone would draw."""

import copy

import numpy
import pytest
import torch

import tokenizer as tokens
from listcoder import PATTERN, Answers
from listsampler import SHARED, Batch, Request, Sampler, broken, shared_lengths, uniforms
from moe import LanguageModel, Shape


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    shape = {"vocabulary": 400, "hidden": 32, "layers": 2, "context": 96, "attention": {"size": 32, "heads": 2}, "feedforward": {"size": 64}}
    made = LanguageModel(Shape.of(shape)).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    return made


def alone(model, allowed, request):
    """One sequence, read whole for every token, in double precision."""
    ids, drawn = list(request.ids), []
    for random in uniforms(request.seed, request.maxTokens):
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([ids]))[0][0, -1]).masked_fill(~allowed, -torch.inf)
        ends = (logits / request.temperature).softmax(-1).cumsum(-1)
        token = int((ends <= random * ends[-1]).sum())
        if token == tokens.ID["end"]:
            return drawn, "stop"
        ids.append(token)
        drawn.append(token)
    return drawn, "length"


def test_each_request_gets_what_it_would_get_alone(model):
    sampler = Sampler(model, tokens.fresh(PATTERN), torch.float32)
    generator = numpy.random.default_rng(5)
    prompts = [tuple(generator.integers(128, 400, length).tolist()) for length in (1, 7, 12)]
    prompts += [prompts[2][:5] + one for one in prompts]
    shared = [0, 0, 5, 5, 5, 4]
    requests = [
        Request(str(n), "", n // 4, temperature=(0.5, 1.0)[n % 2], maxTokens=(5, 14)[n % 3 == 0], ids=prompts[n % 6], shared=shared[n % 6])
        for n in range(24)
    ]  # fmt: skip
    found = Batch(model, torch.float32).answer(requests, sampler.allowed)
    exact = copy.deepcopy(model).double()
    expected = [alone(exact, sampler.allowed, request) for request in requests]
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    assert [reason for _, reason in found] == [reason for _, reason in expected]


def test_equal_seeds_give_equal_answers_and_no_mark_is_drawn_but_the_end(model):
    sampler = Sampler(model, tokens.fresh(PATTERN), torch.float32)
    requests = [Request(str(n), "", seed=1, temperature=1.0, maxTokens=30, ids=(130, 200)) for n in range(3)]
    found = Batch(model, torch.float32).answer(requests, sampler.allowed)
    assert found[0] == found[1] == found[2]
    many = [Request(str(n), "", seed=n, temperature=2.0, maxTokens=30, ids=(130, 200)) for n in range(50)]
    assert all(one >= len(tokens.RESERVED) for ids, _ in Batch(model, torch.float32).answer(many, sampler.allowed) for one in ids)


def test_breaking_in_two_parts_is_breaking_the_whole():
    torch.manual_seed(1)
    scores = torch.randn(3, 10).index_fill_(1, torch.tensor([3]), -torch.inf)
    whole, sums = broken(scores.clone(), torch.zeros(3))
    later, breaks = broken(scores[:, 6:].clone(), torch.zeros(3))
    earlier, breaks = broken(scores[:, :6].clone(), breaks)
    torch.testing.assert_close(torch.cat([earlier, later], -1), whole)
    torch.testing.assert_close(breaks, sums)
    # what a stick is broken at, from the last key to the first, takes its share of what is left
    left = torch.ones(3)
    for key in reversed(range(10)):
        share = scores[:, key].sigmoid()
        torch.testing.assert_close(whole[:, key], left * share)
        left = left * (1 - share)


def test_prompts_share_what_they_begin_with_and_keep_a_token_of_their_own():
    long = tuple(range(200, 200 + SHARED + 6))
    prompts = [(1, *long), (1, *long, 7), (1, *long[:-3], 8), (2, *long), (1, 5), (3,)]
    assert shared_lengths(prompts * 2) == dict(zip(prompts, [SHARED + 4, SHARED + 4, SHARED + 4, 0, 0, 0], strict=True))
    assert shared_lengths([long, long + (9,)]) == {long: len(long) - 1, long + (9,): len(long) - 1}


def test_batches_of_the_training_set_hold_every_sequence_once(tmp_path):
    lengths = [9, 4, 4, 30, 2, 17, 3, 3, 8, 5]
    numpy.savez(
        tmp_path / "train.npz", ids=numpy.arange(sum(lengths), dtype=numpy.uint16), wanted=numpy.ones(sum(lengths), bool), ends=numpy.cumsum(lengths)
    )
    task = Answers(None, tmp_path, 20, 1)
    for epoch in range(2):
        batches = task.cut(epoch)
        assert sorted(numpy.concatenate(batches).tolist()) == list(range(len(lengths)))
        assert all(len(batch) * task.lengths[batch].max() <= 20 or len(batch) == 1 for batch in batches)
    assert [b.tolist() for b in task.cut(0)] == [b.tolist() for b in task.cut(0)] != [b.tolist() for b in task.cut(1)]
