"""CallCluster's operator: CallCluster and Room objects in, workloads and status out."""
