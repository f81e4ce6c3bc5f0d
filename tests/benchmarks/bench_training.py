"""Images a second in training the custom network at 356 px, beside a plain Lightning version.

Run ``python tests/benchmarks/bench_training.py`` (``--device cuda`` on a GPU). All versions run in turns
within one call, so that the ratios hold on a busy machine; the best round of each counts.

The plain version is what one writes first: float32 images of three channels with a zero-filled
red one, a DataLoader (one image at a time through torchvision's RandomAffine), ReLU before pooling.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision.transforms import v2

from labkit.experiment import Augmentation, Experiment
from labkit.learn.device import reused_memory
from labkit.learn.fit import quiet
from labkit.learn.resident import BalancedBatches, Resident
from labkit.learn.task import TrainingTask

SIZE, BATCH, BANDS = 356, 10, ("empty", "xray", "optical")
#: The known rate of a Keras pipeline as the paper describes, on two cores of such a machine.
KERAS = {True: 15.0, False: 26.0}
#: Batches of the paper's whole protocol (Table 4).
PROTOCOL_BATCHES = 153_000


class PlainImages(Dataset):
    """Images as float32 in three channels, augmented one at a time."""

    def __init__(self, images: Tensor, labels: Tensor, *, augmented: bool) -> None:
        self.images = torch.cat([torch.zeros_like(images[:, :1]), images], 1).float() / 255
        self.labels = labels
        moves = v2.RandomAffine(
            360, (4 / SIZE, 4 / SIZE), (1 / 1.3, 1.3), interpolation=v2.InterpolationMode.BILINEAR
        )
        self.transform = moves if augmented else nn.Identity()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.images[row]), self.labels[row]


class PlainTask(pl.LightningModule):
    """The network of Table 3 as printed."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in zip((3, 64, 32, 32, 32, 32), (64, 32, 32, 32, 32, 32), strict=True):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        head = [nn.Flatten(), nn.Linear(1152, 256), nn.ReLU(), nn.Dropout(0.65), nn.Linear(256, 2)]
        self.network = nn.Sequential(*layers, *head)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss = functional.cross_entropy(self.network(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-4, momentum=0.9, nesterov=True)


class Clock(Callback):
    """Time from the end of a warm-up to the end of the last batch."""

    def __init__(self, warm: int) -> None:
        self.warm, self.seconds = warm, 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        if trainer.global_step in (self.warm, trainer.max_steps):
            if trainer.strategy.root_device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.seconds


def run(
    task: pl.LightningModule, batches: object, *, device: str, precision: str, warm: int, timed: int
) -> float:
    """Images a second of a task."""
    clock = Clock(warm)
    with quiet(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_steps=warm + timed,
            max_epochs=-1,
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            callbacks=[clock],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            benchmark=device == "cuda",
        )
        trainer.fit(task, batches)
    return BATCH * timed / clock.seconds


def ours(
    images: Tensor, labels: Tensor, device: str, precision: str, augmented: bool
) -> Callable[..., float]:
    """Our version, as `labkit.learn.train` runs it."""
    experiment = Experiment(
        name="bench", bands=BANDS, precision=precision, augmentation=Augmentation() if augmented else None
    )
    held = Resident(images.to(device), labels.to(device))
    batches = BalancedBatches(held, batch_size=BATCH, seed=0)

    def timed(**options: int) -> float:
        with reused_memory():
            return run(TrainingTask(experiment), batches, device=device, precision=precision, **options)

    return timed


def plain(images: Tensor, labels: Tensor, device: str, workers: int, augmented: bool) -> Callable[..., float]:
    """The plain version."""
    weights = (1 / torch.bincount(labels))[labels]
    loader = DataLoader(
        PlainImages(images, labels, augmented=augmented),
        BATCH,
        sampler=WeightedRandomSampler(weights.tolist(), len(labels)),
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda **n: run(PlainTask(), loader, device=device, precision="fp32", **n)


def copy_bandwidth() -> float:
    """Bytes a second of a copy on the GPU, read and write."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        target.copy_(source)
    torch.cuda.synchronize()
    return 20 * 2 * 2**30 / (time.perf_counter() - start)


def least_traffic(width: int) -> int:
    """Bytes that an image must move through memory in a step, with `width` bytes a value.

    Each full-size feature map is written and read forward, and its gradient written and read backward;
    each pooled map is written and read, with its gradient and eight-byte positions.
    """
    total, side = 0, SIZE
    for filters in (64, 32, 32, 32, 32, 32):
        half = -(-side // 2)
        total += filters * (side**2 * 4 * width + half**2 * (4 * width + 2 * 8))
        side = half
    return total


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batches", type=int, default=0, help="timed batches a round (default: 6, GPU 200)")
    return parser.parse_args()


def versions(device: str) -> dict[tuple[str, bool], Callable[..., float]]:
    """Every version to time, by name and whether it augments."""
    torch.manual_seed(0)
    n = 1200 if device == "cuda" else 120
    images = torch.randint(0, 256, (n, 2, SIZE, SIZE), dtype=torch.uint8)
    labels = (torch.rand(n) < 0.4).long()
    found = {}
    for augmented in (True, False):
        for workers in (0, 8) if device == "cuda" else (0, 1):
            name = f"plain Lightning, fp32, {workers} workers"
            found[name, augmented] = plain(images, labels, device, workers, augmented)
        for precision in ("fp32", "bf16"):
            found[f"labkit, {precision}", augmented] = ours(images, labels, device, precision, augmented)
    return found


def main() -> None:
    """Measure and print the table."""
    options = arguments()
    on_gpu = options.device == "cuda"
    timed, warm = options.batches or (200 if on_gpu else 6), 50 if on_gpu else 2
    timers = versions(options.device)
    best = dict.fromkeys(timers, 0.0)
    for _ in range(options.rounds):
        for name, timer in timers.items():
            best[name] = max(best[name], timer(warm=warm, timed=timed))
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.device}")
    print(f"{'version':34s} {'augmented':>9s} {'images/s':>9s} {'x plain':>8s} {'x Keras':>8s}")
    for (name, augmented), rate in best.items():
        base = max(r for (other, a), r in best.items() if other.startswith("plain") and a == augmented)
        keras = "" if on_gpu else f"{rate / KERAS[augmented]:8.2f}"
        print(f"{name:34s} {'yes' if augmented else 'no':>9s} {rate:9.1f} {rate / base:8.2f} {keras}")
    hours = PROTOCOL_BATCHES * BATCH / best["labkit, bf16", True] / 3600
    print(f"the paper's {PROTOCOL_BATCHES:,} batches of {BATCH}: {hours:.2f} h with labkit, bf16")
    if on_gpu:
        reached = best["labkit, bf16", True] * least_traffic(2)
        share = reached / copy_bandwidth()
        print(f"memory: {reached / 1e9:.0f} GB/s at least, {share:.0%} of a copy's bandwidth")


if __name__ == "__main__":
    main()
