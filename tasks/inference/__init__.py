"""Ask language models: at a server of OpenAI's protocol, or in batches with vLLM; answers are kept."""
