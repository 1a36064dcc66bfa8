"""What people see: pages rendered on the server, a small JSON API, a few ES modules, no build."""
