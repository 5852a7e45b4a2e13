"""Django.  In a project the last line goes into `asgi.py`, and the rest is there already.

$ uvicorn django_app:application
$ curl -i localhost:8000/predict --json '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
HTTP/1.1 200 OK
...
x-drift-severity: unknown
...
{"predictions": ["setosa"]}
"""

import json

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from iris import baseline, classify

from drift_middleware import DriftMiddleware

settings.configure(ALLOWED_HOSTS=["localhost"], ROOT_URLCONF=__name__)


@csrf_exempt
def predict(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"predictions": classify(json.loads(request.body)["instances"])})


urlpatterns = [path("predict", predict)]

application = DriftMiddleware(get_asgi_application(), baseline=baseline)
