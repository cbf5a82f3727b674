"""How often traceq is right about programs whose waiting is known.

```
python -m benchmarks.truth                                   # every condition, the tuning seeds, half a minute
python -m benchmarks.truth --condition clean --condition '5 ms skew' --seed 3 7 --requests 200 --format json
```

Rules of traceq are made while looking at seeds 0 to 99; figures are reported of seeds from 1000 on.
"""
