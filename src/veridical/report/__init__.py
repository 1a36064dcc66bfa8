"""Tables, figures and one self-contained HTML file from what lies on disk. No torch, no world.

`render_demo_report(DemoReport, path)` · `render_fact_rlhf_report(FactRlhfReport)` ·
`compare_runs({name: path}, path)`, and `results.json`: `write_results` / `read_results`,
`write_fact_rlhf_results` / `read_fact_rlhf_results`.
"""
