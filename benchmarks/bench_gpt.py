"""Generating 240 tokens with a cache, against transformers' GPT-2 with its cache."""

import tempfile

import torch
from harness import compare, main
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from mmcourse.transformers import GPT

NEW, PROMPT = 240, 8


def models() -> tuple[GPT, GPT2LMHeadModel]:
    """The same small GPT-2 (5 blocks of width 256) twice: ours reads what theirs has saved."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    sizes = {"n_positions": PROMPT + NEW, "n_embd": 256, "n_layer": 5, "n_head": 8}
    ends = {"bos_token_id": None, "eos_token_id": None}
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=1000, **sizes, **ends)).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return GPT.from_pretrained(folder), theirs


def run() -> list[dict]:
    """Measure greedy continuations of one and of eight prompts."""
    ours, theirs = models()
    results = []
    for batch, rounds in ((1, 5), (8, 5)):
        ids = torch.randint(1000, (batch, PROMPT), generator=torch.Generator().manual_seed(1))

        def mine(ids=ids):
            return ours.generate(ids, NEW, temperature=0)

        def peer(ids=ids):
            seen = torch.ones_like(ids)
            return theirs.generate(ids, attention_mask=seen, max_new_tokens=NEW, do_sample=False)

        if not torch.equal(mine(), peer()):
            raise RuntimeError("both must write the same tokens, or the comparison is void")
        name = f"GPT: 240 tokens, batch {batch}"
        result = compare(name, mine, peer, rounds, 1.2, peer_name="transformers")
        results.append(result)
    return results


if __name__ == "__main__":
    main(run)
