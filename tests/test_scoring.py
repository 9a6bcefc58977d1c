import math
from dataclasses import replace

import pytest
import torch
from tiny import ARCHITECTURES, save_tiny_model

from utils.dataset import Example
from utils.language_model import LanguageModel, load_folder
from utils.scoring import IGNORED, autocast, batches_by_length, collate, cross_entropy, score, token_bits, word_bits
from utils.training import _share_of

TEXTS = ["A short one.", "A somewhat longer post, with 🦊 in it and a few more words to say.", "x"]
CPU = torch.device("cpu")


@pytest.fixture(params=ARCHITECTURES)
def language_model(request, tmp_path) -> LanguageModel:
    return load_folder(save_tiny_model(tmp_path, request.param), CPU)


def bits_by_hand(language_model, text: str) -> float:
    """Token by token, one forward pass each, straight from the definition."""
    tokens, bits = language_model.encode(text), 0.0
    assert language_model.decode(tokens[:2]).endswith('>"'), "the start token, a quotation mark, and then the text"
    for position in range(2, len(tokens)):
        with torch.no_grad():
            logits = language_model.network(torch.tensor([tokens[:position]])).logits[0, -1]
        bits -= torch.log_softmax(logits, -1)[tokens[position]].item() / math.log(2)
    return bits


def test_a_score_is_what_the_definition_says_token_by_token(language_model) -> None:
    result = score(language_model, TEXTS)
    assert (result.posts, result.characters) == (3, sum(map(len, TEXTS)))
    assert result.bits == pytest.approx(sum(bits_by_hand(language_model, text) for text in TEXTS), rel=1e-5)


def test_scoring_together_or_alone_makes_no_difference(language_model) -> None:
    alone = [score(language_model, [text]).bits for text in TEXTS]
    assert score(language_model, TEXTS).bits == pytest.approx(sum(alone), rel=1e-5)


def test_the_loss_in_pieces_has_the_gradient_of_the_whole_loss(language_model) -> None:
    batch = collate([language_model.encode(text) for text in TEXTS])
    network = language_model.network
    cross_entropy(network, **batch).backward()
    pieces = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    logits = network(input_ids=batch["input_ids"]).logits.flatten(0, 1)
    torch.nn.functional.cross_entropy(logits, batch["labels"].flatten()).backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(pieces[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_loss_of_a_bfloat16_head_is_a_number_of_its_own_and_has_nearly_the_same_gradient(language_model) -> None:
    batch = collate([language_model.encode(text) for text in TEXTS])
    gradients = {}
    for precision in (torch.float32, torch.bfloat16):
        with autocast(torch.device("cpu"), torch.bfloat16):
            loss = cross_entropy(language_model.network, **batch, head_precision=precision)
        loss.backward()
        assert loss.dtype == torch.float32
        gradients[precision] = torch.cat([p.grad.flatten() for p in language_model.network.parameters()])
        language_model.network.zero_grad()
    exact, rough = gradients.values()
    assert 0 < (rough - exact).norm() < 0.05 * exact.norm()


def test_a_text_longer_than_the_context_is_scored_whole(language_model) -> None:
    text, context, given = "the lamp and the goat " * 100, language_model.context, len(language_model.beginning)
    tokens, bits = language_model.encode(text), 0.0
    assert len(tokens) > 2 * context
    for begin in range(0, len(tokens) - 1, context):
        piece = torch.tensor([tokens[begin : begin + context + 1]])
        with torch.no_grad():
            nats = -language_model.network(piece[:, :-1]).logits[0].log_softmax(-1)
        asked = nats.gather(-1, piece[0, 1:, None])[(0 if begin else given - 1) :]
        bits += asked.sum().item() / math.log(2)
    assert score(language_model, [text]).bits == pytest.approx(bits, rel=1e-5)


def test_what_stands_before_a_post_is_not_asked_for_and_costs_no_bits(language_model) -> None:
    example = Example("A post.", 0, tuple(language_model.encode("A post.")))
    mark = language_model.beginning[1]
    asked_for = _share_of([example], len(language_model.beginning))["labels"][0]
    assert asked_for.tolist() == [IGNORED, *example.tokens[2:]]
    dearer = replace(language_model, beginning=[language_model.beginning[0], mark, mark])
    asked = [collate([model.encode("A post.")], [len(model.beginning)])["labels"] for model in (language_model, dearer)]
    assert [int((labels >= 0).sum()) for labels in asked] == [len(example.tokens) - 2] * 2


def test_bfloat16_scores_about_the_same_and_leaves_other_products_alone(language_model) -> None:
    left, right = torch.randn(64, 64), torch.randn(64, 64)
    product = left @ right
    whole, half = score(language_model, TEXTS), score(language_model, TEXTS, torch.bfloat16)
    assert half.bits == pytest.approx(whole.bits, rel=0.01)
    assert torch.equal(left @ right, product)


def test_the_bits_of_tokens_and_of_words_add_up_to_those_of_the_text(language_model) -> None:
    text = "The goat's back,\nwith a biscuit."
    whole = score(language_model, [text]).bits
    by_words = word_bits(language_model, text)
    assert sum(bits for _, bits in token_bits(language_model, text)) == pytest.approx(whole, rel=1e-4)
    assert sum(bits for _, bits in by_words) == pytest.approx(whole, rel=1e-4)
    assert [word.strip() for word, _ in by_words[:-1]] == text.split()


def test_batches_hold_every_sequence_once_and_respect_their_size() -> None:
    lengths = [5, 1, 9, 30, 5, 5, 2]
    batches = batches_by_length(lengths, 12)
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 12 for batch in batches)


def test_a_text_that_spells_a_special_token_is_only_text(language_model) -> None:
    tokens = language_model.encode("before <|endoftext|> after <|im_end|>")
    assert language_model.end not in tokens[2:-1]
    assert language_model.decode(tokens[2:-1]) == "before <|endoftext|> after <|im_end|>"
