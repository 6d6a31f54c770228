import 'reflect-metadata';
import type { IncomingMessage } from 'node:http';
import {
  Controller,
  Get,
  HttpException,
  Module,
  Req,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

const sessions = managedSessions({ issuer: { issuer, secret }, store });

class LoginGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest();
    const response = context.switchToHttp().getResponse();
    try {
      request.user = (await sessions.authenticate(request)).user;
      return true;
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      response.set(error.headers);
      throw new HttpException({ code: error.code }, error.status);
    }
  }
}

@Controller()
class HomeController {
  @Get()
  @UseGuards(LoginGuard)
  home(@Req() req: IncomingMessage & Express.Request): unknown {
    return { id: req.user?.id };
  }
}

@Module({ controllers: [HomeController] })
class AppModule {}

async function listener() {
  const app = await NestFactory.create(AppModule, { logger: false });
  app.use('/account/sessions', sessions.router());
  await app.init();
  return app.getHttpAdapter().getInstance();
}
