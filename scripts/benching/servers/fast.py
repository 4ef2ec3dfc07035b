"""FastAPI, as its documentation shows it, on the same uvicorn."""

from typing import Any

from asgi import run
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Call(BaseModel):
    """The body of a request."""

    method: str
    parameters: dict[str, Any]


@app.post("/")
async def answer(call: Call) -> dict[str, Any]:
    """Answer a call."""
    return {"result": {"parameters": call.parameters}}


if __name__ == "__main__":
    run(app)
