"""What all views show of a pipeline: status's figures, what is safe, categories, the balance and the receipts."""
