"""How often traceq is right about programs whose waiting is known.

```
python -m benchmarks.truth                                   # everything, of the tuning seeds: a few minutes
python -m benchmarks.truth --condition clean --condition '5 ms skew' --seed 3 7 --requests 200 --format json
python -m benchmarks.truth --condition clean --worst 1       # the smallest wrong trace of each seed, drawn
python -m benchmarks.truth --only findings --requests 40      # only problems and healthy requests
python -m benchmarks.truth --only faults --only tags --jobs 2 # only what `compare` says
python -m benchmarks.truth --docs > docs/truth.md            # of the reporting seeds
```

Rules of traceq were made while looking at seeds up to 6018; figures are reported of seeds from 7000 on, and whoever
looks at one of these while making a rule moves the line.
docs/truth.md defines every measure.
"""
