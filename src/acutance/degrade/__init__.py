"""The degradations of a call: scaling, noise, JPEG and real video codecs, by numpy, Pillow and PyAV (not torch)."""

from acutance.degrade.amounts import Amount
from acutance.degrade.chain import Degradation, Triple
from acutance.degrade.codec import Codec, EncodeResult, encode_decode, smallest_side
from acutance.degrade.jpeg import ChromaSubsampling, JpegResult, jpeg
from acutance.degrade.mix import DegradationMix, generator_for
from acutance.degrade.resize import FACTORS, DownUp, ResizeMethod, crop_to_multiple, down_up, low_size, resize
from acutance.degrade.yuv import Yuv420, rgb_from_yuv420, yuv420_from_rgb

__all__ = [
    "FACTORS",
    "Amount",
    "ChromaSubsampling",
    "Codec",
    "Degradation",
    "DegradationMix",
    "DownUp",
    "EncodeResult",
    "JpegResult",
    "ResizeMethod",
    "Triple",
    "Yuv420",
    "crop_to_multiple",
    "down_up",
    "encode_decode",
    "generator_for",
    "jpeg",
    "low_size",
    "resize",
    "rgb_from_yuv420",
    "smallest_side",
    "yuv420_from_rgb",
]
