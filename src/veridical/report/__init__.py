"""Tables, figures and one self-contained HTML file: draws what lies on disk, computes nothing.

`render_demo_report(DemoReport, path)` · `render_fact_rlhf_report(FactRlhfReport)` ·
`compare_runs({name: path}, path)`, and `results.json`: `write_results` / `read_results`,
`write_fact_rlhf_results` / `read_fact_rlhf_results`.
"""
