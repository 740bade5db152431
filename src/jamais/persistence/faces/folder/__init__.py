"""How is a whole state a folder that people and other libraries can look into?

    config.json  vocab.txt  tokenizer.json  tokenizer_config.json      what the Hugging Face library reads
    model.safetensors (or pytorch_model.bin)                           the weights
    detectors/knn_features.npy  detectors/knn_params.json  …           memories and detectors
    state.json  state.safetensors                                      all the rest
    MANIFEST.json                                                      seals all of it, written last

Which part of a state goes where says an `Arrangement`; no class is known here.
"""

from jamais.persistence.faces.folder.bare import warn_unsealed
from jamais.persistence.faces.folder.reading import open_sealed, read_folder, steady, verify_folder
from jamais.persistence.faces.folder.writing import replacing_folder, write_folder

__all__ = [
    "open_sealed",
    "read_folder",
    "replacing_folder",
    "steady",
    "verify_folder",
    "warn_unsealed",
    "write_folder",
]
