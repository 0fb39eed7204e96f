"""SRResNet: 16 residual blocks of 64 channels (Ledig et al., arXiv 1609.04802).

Also the checkpoint layouts it is met in.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from acutance.errors import TeacherError

__all__ = ["SRResNet", "is_srresnet", "translate_checkpoint"]


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = nn.PReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        return out


class _Upsample(nn.Module):
    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels * factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(factor)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.shuffle(self.conv(x)))
        return out


class SRResNet(nn.Module):
    """RGB N x 3 x H x W in [0, 1] to N x 3 x sH x sW, for s of 2, 3 and 4.

    normalised: the weights expect ImageNet-normalised input and end in tanh over [-1, 1], as one widespread
    implementation trains them; input and output of this module stay in [0, 1] all the same.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, scale: int, *, blocks: int = 16, channels: int = 64, normalised: bool = False) -> None:
        super().__init__()
        steps = {2: [2], 3: [3], 4: [2, 2]}.get(scale)
        if steps is None:
            raise TeacherError(f"SRResNet upscales by 2, 3 or 4, not by {scale}")
        self.scale = scale
        self.normalised = normalised
        self.head = nn.Conv2d(3, channels, 9, padding=4)
        self.head_act = nn.PReLU()
        self.body = nn.ModuleList(_Block(channels) for _ in range(blocks))
        self.mid = nn.Conv2d(channels, channels, 3, padding=1)
        self.mid_bn = nn.BatchNorm2d(channels)
        self.up = nn.ModuleList(_Upsample(channels, step) for step in steps)
        self.tail = nn.Conv2d(channels, 3, 9, padding=4)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """What the upsampling stages are given: N x 64 x H x W."""
        if self.normalised:
            x = (x - self.mean) / self.std
        head = self.head_act(self.head(x))
        out = head
        for block in self.body:
            out = block(out)
        mid: Tensor = self.mid_bn(self.mid(out)) + head
        return mid

    def reconstruct(self, features: Tensor) -> Tensor:
        """The picture that :meth:`features` stand for."""
        out = features
        for stage in self.up:
            out = stage(out)
        out = self.tail(out)
        return (torch.tanh(out) + 1) / 2 if self.normalised else out

    def forward(self, x: Tensor) -> Tensor:
        return self.reconstruct(self.features(x))


# Published checkpoints, by the name that gives a layout away: (pattern, replacement) for each kind of key.
_SGRVINOD = (  # "a PyTorch Tutorial to Super-Resolution"
    (r"^conv_block1\.conv_block\.0\.", "head."),
    (r"^conv_block1\.conv_block\.1\.", "head_act."),
    (r"^residual_blocks\.(\d+)\.conv_block1\.conv_block\.0\.", r"body.\1.conv1."),
    (r"^residual_blocks\.(\d+)\.conv_block1\.conv_block\.1\.", r"body.\1.bn1."),
    (r"^residual_blocks\.(\d+)\.conv_block1\.conv_block\.2\.", r"body.\1.act."),
    (r"^residual_blocks\.(\d+)\.conv_block2\.conv_block\.0\.", r"body.\1.conv2."),
    (r"^residual_blocks\.(\d+)\.conv_block2\.conv_block\.1\.", r"body.\1.bn2."),
    (r"^conv_block2\.conv_block\.0\.", "mid."),
    (r"^conv_block2\.conv_block\.1\.", "mid_bn."),
    (r"^subpixel_convolutional_blocks\.(\d+)\.conv\.", r"up.\1.conv."),
    (r"^subpixel_convolutional_blocks\.(\d+)\.prelu\.", r"up.\1.act."),
    (r"^conv_block3\.conv_block\.0\.", "tail."),
)
_LORNATANG = (  # "SRGAN-PyTorch"
    (r"^conv1\.0\.", "head."),
    (r"^conv1\.1\.", "head_act."),
    (r"^trunk\.(\d+)\.rcb\.0\.", r"body.\1.conv1."),
    (r"^trunk\.(\d+)\.rcb\.1\.", r"body.\1.bn1."),
    (r"^trunk\.(\d+)\.rcb\.2\.", r"body.\1.act."),
    (r"^trunk\.(\d+)\.rcb\.3\.", r"body.\1.conv2."),
    (r"^trunk\.(\d+)\.rcb\.4\.", r"body.\1.bn2."),
    (r"^conv2\.0\.", "mid."),
    (r"^conv2\.1\.", "mid_bn."),
    (r"^upsampling\.(\d+)\.upsample_block\.0\.", r"up.\1.conv."),
    (r"^upsampling\.(\d+)\.upsample_block\.2\.", r"up.\1.act."),
    (r"^conv3\.", "tail."),
)
_OWN = ((r"^(head|head_act|body|mid|mid_bn|up|tail)\.", r"\1."),)
_LAYOUTS = (
    ("residual_blocks.0.conv_block1.conv_block.0.weight", _SGRVINOD, True),
    ("trunk.0.rcb.0.weight", _LORNATANG, False),
    ("body.0.conv1.weight", _OWN, False),
)


def _bare_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrappers put in front of every name."""
    return {re.sub(r"^(module|generator|net_g|netG|model)\.", "", name): t for name, t in tensors.items()}


def is_srresnet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether :func:`translate_checkpoint` knows the layout."""
    names = _bare_names(tensors)
    return any(witness in names for witness, _, _ in _LAYOUTS)


def translate_checkpoint(tensors: Mapping[str, Tensor], *, source: str) -> tuple[SRResNet, dict[str, Tensor]]:
    """Recognise a public SRResNet layout: the module that fits, and the tensors under its names.

    Raises TeacherError where the layout is not one of those known.
    """
    names = _bare_names(tensors)
    for witness, rules, normalised in _LAYOUTS:
        if witness not in names:
            continue
        renamed = {}
        for name, tensor in names.items():
            for pattern, replacement in rules:
                new, hits = re.subn(pattern, replacement, name)
                if hits:
                    renamed[new] = tensor
                    break
            else:
                raise TeacherError(f"{source}: tensor {name} has no place in SRResNet")
        blocks = 1 + max(int(m.group(1)) for n in renamed if (m := re.match(r"body\.(\d+)\.", n)))
        if "head.weight" not in renamed:
            raise TeacherError(f"{source}: an SRResNet checkpoint without its first convolution")
        channels = renamed["head.weight"].shape[0]
        stages = sorted(n for n in renamed if re.match(r"up\.\d+\.conv\.weight", n))
        scale = 1
        for stage in stages:
            scale *= round((renamed[stage].shape[0] / channels) ** 0.5)
        return SRResNet(scale, blocks=blocks, channels=channels, normalised=normalised), renamed
    raise TeacherError(f"{source}: not an SRResNet checkpoint of a known layout")
