"""What is deployed: models, versions, endpoints, the copies of their files, and what is kept."""
