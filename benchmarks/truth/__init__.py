"""How often traceq is right about programs whose waiting is known.

```
python -m benchmarks.truth                                   # everything, of the tuning seeds: a minute
python -m benchmarks.truth --condition clean --condition '5 ms skew' --seed 3 7 --requests 200 --format json
python -m benchmarks.truth --condition clean --worst 1       # the smallest wrong trace of each seed, drawn
python -m benchmarks.truth --docs > docs/truth.md            # of the reporting seeds
```

Rules of traceq are made while looking at seeds 0 to 99; figures are reported of seeds from 1000 on.
docs/truth.md defines every measure.
"""
