"""The contracts that CallCluster's images share: messages, files, credentials and the control port."""
