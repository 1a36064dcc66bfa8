"""Objects of COCO in texts and annotations: what CHAIR and Object HalBench are counted from."""
