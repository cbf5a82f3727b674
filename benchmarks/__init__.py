"""How fast traceq is, in ratios that hold on any machine: `python -m benchmarks`."""
